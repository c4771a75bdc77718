import { randomBytes } from 'node:crypto'
import { createKeyRing, faultOfSecret, SECRET_BYTES_MIN } from '../token/index.ts'
import { UsageError } from './options.ts'
import type { Surroundings } from './run.ts'

/** More than the secrets of any roll: a file that was piped in by mistake is not read to its end. */
const INPUT_CHARACTERS_MAX = 64 * 1024

export const HOW_TO_GIVE_SECRETS: string =
  'give the secrets on standard input, or in SESSION_SECRET, one to a line or with commas between: never as an argument, which every user of the machine can read'

/** `sojourn keys new` prints a new secret. */
export function makeKey({ stdout }: Surroundings): number {
  stdout.write(`${randomBytes(SECRET_BYTES_MIN).toString('base64url')}\n`)
  return 0
}

/**
 * `sojourn keys check` tells of each secret whether it is good, and the key id by which its tokens are known. No secret is
 * printed. Resolves 0 where all are good, else 1.
 */
export async function checkKeys(surroundings: Surroundings): Promise<number> {
  const secrets = (await givenSecrets(surroundings)).split(/[\s,]+/).filter((text) => text !== '')
  if (secrets.length === 0) throw new UsageError(`keys check: no secret was given; ${HOW_TO_GIVE_SECRETS}`)
  let areGood = true
  for (const [index, secret] of secrets.entries()) {
    const fault = faultOfAny(secret) ?? (secrets.indexOf(secret) < index ? 'it is there twice' : undefined)
    areGood &&= fault === undefined
    const role = index === 0 ? 'signs and opens' : 'opens'
    const verdict = fault === undefined ? `good, key id ${keyIdOf(secret)}, ${role}` : `refused: ${fault}`
    surroundings.stdout.write(`secret ${index + 1}: ${verdict}\n`)
  }
  return areGood ? 0 : 1
}

/** What `keys` or `createSessions` would refuse. */
function faultOfAny(secret: string): string | undefined {
  const fault = faultOfSecret(secret)
  if (fault !== undefined) return fault
  try {
    createKeyRing(secret)
    return undefined
  } catch {
    return 'createSessions would take it for guessable'
  }
}

function keyIdOf(secret: string): string {
  return createKeyRing(secret).signing.id.toString(16).padStart(2, '0')
}

async function givenSecrets({ stdin, env }: Surroundings): Promise<string> {
  if (stdin && !stdin.isTTY) {
    let text = ''
    for await (const chunk of stdin) {
      text += String(chunk)
      if (text.length > INPUT_CHARACTERS_MAX)
        throw new UsageError(`keys check: the input is too long; ${HOW_TO_GIVE_SECRETS}`)
    }
    if (text.trim() !== '') return text
  }
  return env?.['SESSION_SECRET'] ?? ''
}

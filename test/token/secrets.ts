import { randomBytes } from 'node:crypto'
import { createKeyRing, createTokenCodec, type SecretOption, type TokenCodec } from '../../src/token/index.ts'

/** A secret as the error messages tell users to make one. */
export function createSecret(): string {
  return randomBytes(32).toString('base64url')
}

export function codecOf(secret: SecretOption, name = 'sid'): TokenCodec {
  return createTokenCodec(createKeyRing(secret), name)
}

/** A secret whose key id is, or is not, that of another. One in 256 has the same. */
export function createSecretBeside(secret: string, isSameId: boolean): string {
  const { id } = createKeyRing(secret).signing
  for (;;) {
    const other = createSecret()
    if ((createKeyRing(other).signing.id === id) === isSameId) return other
  }
}

import { decodeValue } from './codec.ts'
import type { Engine } from './engine.ts'
import { SessionInvalidError } from './errors.ts'
import type { Opening } from './life.ts'
import { OpenSession } from './open-session.ts'
import type { SessionRecord } from './record.ts'
import { isReserved } from './use.ts'

/** Treats a stored session that does not fit the schema as `onInvalid` says; `undefined` where it was ended. */
export async function fitted<Data extends object>(
  engine: Engine<Data>,
  opening: Opening,
): Promise<Opening | undefined> {
  const { key, record } = opening
  if (!record || key === undefined || !engine.hasSchema) return opening
  const issues = await issuesOf(engine, new OpenSession(engine, opening), record)
  if (issues.size === 0) return opening
  const fields = issues.has(undefined)
    ? [...record.fields.keys()].filter((name) => !isReserved(name))
    : [...issues.keys()].map(String)
  engine.events.emit('invalid', { key, fields })
  switch (engine.policy.onInvalid) {
    case 'error': {
      const [field] = issues.keys()
      throw new SessionInvalidError(`the stored session ${key} does not fit the schema: ${issues.get(field)}`, field)
    }
    case 'end':
      await new OpenSession(engine, { ...opening, unattended: true }).end('invalid')
      return undefined
    case 'reset-field':
      return { ...opening, initial: await engine.initial(), resetFields: fields }
  }
}

/** What is wrong with a stored session, by field. One that is damaged cannot be held against the schema. */
async function issuesOf<Data extends object>(
  engine: Engine<Data>,
  session: OpenSession<Data>,
  record: SessionRecord,
): Promise<ReadonlyMap<string | undefined, string>> {
  for (const [name, { value }] of record.fields) {
    try {
      if (value !== null) decodeValue(name, value)
    } catch (error) {
      return new Map([[name, String(error)]])
    }
  }
  const issues = await engine.issues(() => ({ ...session.data }))
  return new Map([...issues].map(([field, { message }]) => [field, message]))
}

import type { SessionRecord, StoredField } from './record.ts'

/**
 * Names of fields that are not the application's begin so. As fields they pass through every store as the others do,
 * with stamps to compare.
 */
export const RESERVED_PREFIX = 'sojourn:'

/** The field that holds the {@link Use} of a session whose token was rotated. */
export const USE_FIELD: string = `${RESERVED_PREFIX}use`

/** The field that names the session of another library that goes on beside this one; see `Twin`. */
export const LINK_FIELD: string = `${RESERVED_PREFIX}old`

/** The field that tells which values of another one were taken over from there, one after another; see `Twin`. */
export function lineFieldOf(name: string): string {
  return `${LINK_FIELD}:${name}`
}

/** The field that holds the {@link Login} of a session, where the store finds the sessions of a user. */
export const LOGIN_FIELD: string = `${RESERVED_PREFIX}login`

/** Whether a field is not the application's. */
export function isReserved(name: string): boolean {
  return name.startsWith(RESERVED_PREFIX)
}

/** How the user of a session logged in. */
export interface Login {
  /** Label of the device. */
  readonly client: string
  /** Whether the session is to ask for a seat, since its number for each user is bounded and its token was not presented yet. */
  readonly needsSeat: boolean
}

export function encodeLogin({ client, needsSeat }: Login): string {
  return JSON.stringify([needsSeat ? 1 : 0, client])
}

/** What a record says of its login. */
export function loginOf({ fields }: Pick<SessionRecord, 'fields'>): Login {
  const value = fields.get(LOGIN_FIELD)?.value
  const parts: unknown = value ? JSON.parse(value) : []
  const [needsSeat, client = ''] = Array.isArray(parts) ? parts : []
  return { client: String(client), needsSeat: needsSeat === 1 }
}

/** {@link Login.needsSeat}, for every request. */
export function needsSeat({ fields }: Pick<SessionRecord, 'fields'>): boolean {
  return fields.get(LOGIN_FIELD)?.value?.startsWith('[1') ?? false
}

/** Who uses the generation of a rotated session. */
export interface Use {
  readonly generation: number
  /** Issue of the token that alone is good since the use is settled; 0 until then. */
  readonly issue: number
  /** Label of the client that presented the generation first or, once it is settled, that settled it. */
  readonly label: string
}

export function encodeUse({ generation, issue, label }: Use): string {
  return JSON.stringify([generation, issue, label])
}

/** What a record says of its present generation; nobody, where it was never rotated or a late write tells of an older one. */
export function useOf({ generation }: SessionRecord, field: StoredField | undefined): Use {
  const nobody = { generation, issue: 0, label: '' }
  if (!field || field.value === null) return nobody
  const parts: unknown = JSON.parse(field.value)
  if (!Array.isArray(parts) || parts[0] !== generation) return nobody
  return { generation, issue: Number(parts[1]), label: String(parts[2]) }
}

/** A record without what is not the application's. */
export function withoutReserved(record: SessionRecord): SessionRecord {
  if (![USE_FIELD, LOGIN_FIELD, LINK_FIELD].some((name) => record.fields.has(name))) return record
  const fields = [...record.fields].filter(([name]) => !isReserved(name))
  return { ...record, fields: new Map(fields) }
}

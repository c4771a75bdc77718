import type { Adoption } from './carried.ts'

/** A session as another library keeps it. */
export interface OldSession {
  /** What that library keeps of its cookie beside the data. */
  readonly cookie: object
  readonly fields: Fields
}

/** Top-level properties, by name. */
export type Fields = ReadonlyMap<string, unknown>

/**
 * The power of a store in which another library keeps sessions too, while its servers are replaced one by one: the engine
 * takes over what a visitor had there, and both go on beside each other.
 *
 * An old session is named by an identifier that only its client and the server know. Texts are what the other library
 * stores. Every method is about one old session, is one command, and may be sent again.
 */
export interface OldSessions {
  /** Whether each change is written into the old session too, and changes there are taken over. */
  readonly isMirrored: boolean

  /** The identifier in this Cookie header; `undefined` where there is none, or its signature is not of that library. */
  idIn(header: string): string | undefined
  /** The selector of the session that takes over an old one: always the same, so that requests at once take over one. */
  selectorOf(id: string): Buffer
  /** An identifier that was never used, whose selector is this. */
  createId(selector: Buffer): string

  read(id: string): Promise<string | undefined>
  /** Writes unless the stored text has changed since it was read as `before`; answers whether the text is now stored. */
  replace(id: string, before: string, after: string, lifeMs: number): Promise<boolean>
  put(id: string, text: string, lifeMs: number): Promise<void>
  touch(id: string, lifeMs: number): Promise<void>
  remove(id: string): Promise<void>

  /** @throws for what is no session of that library */
  decode(text: string): OldSession
  /** @throws for what cannot be stored there */
  encode(session: OldSession): string
  /** The cookie part of an old session that begins now. */
  createCookie(): object

  /** What is taken over. May throw: it asks functions of the application. */
  toAdoption(session: OldSession): Adoption
  /** Inverse of {@link toAdoption}: the fields of the old session. May throw. */
  toFields(adoption: Adoption, old: OldSession | undefined): Fields

  /** The Set-Cookie line that names this old session to its client. */
  toSetCookie(id: string, cookie: object): string
  /** The Set-Cookie line that makes the client forget its old session. */
  toClearCookie(): string
}

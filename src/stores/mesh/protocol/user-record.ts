import type { SessionRecord } from '../../../core/index.ts'

/*
 * What the mesh knows of a user beside his sessions is kept as a session is: by an owner and backups, handed over, merged
 * and forgotten. It is told by its user, which is the empty text: nobody can log in as that.
 */

export const NO_USER = ''

/** Whether it is no session. */
export function isUserRecord({ user }: Pick<SessionRecord, 'user'>): boolean {
  return user === NO_USER
}

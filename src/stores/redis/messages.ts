/**
 * What nodes say to each other over Redis's channels. Whoever may publish there may write to Redis as well, so that a
 * message is checked for its form alone; what is none of this version is passed over.
 */

import type { EndReason } from '../../core/index.ts'
import { MESSAGE_LENGTH_MAX } from './limits.ts'

/** Something has happened to a session, and copies of it are to be dropped. */
export interface Announcement {
  readonly key: string
  /** It has ended. Else only its tokens have changed. */
  readonly ending?: Ending | undefined
}

/** Of whom a session was, and why it has ended. */
export interface Ending {
  readonly user: string | null
  readonly reason: EndReason
}

/** An announcement with the name by which it is acknowledged. */
export interface Announced extends Announcement {
  readonly from: string
  readonly id: number
}

const FORMAT = 1

export function encodeAnnounced({ from, id, key, ending }: Announced): string {
  return JSON.stringify([FORMAT, from, id, key, ...(ending ? [ending.reason, ending.user] : [])])
}

export function decodeAnnounced(text: string): Announced | undefined {
  const [from, id, key, reason, user = null] = partsOf(text)
  if (typeof from !== 'string' || typeof id !== 'number' || typeof key !== 'string') return undefined
  if (reason === undefined) return { from, id, key }
  if (typeof reason !== 'string' || (user !== null && typeof user !== 'string')) return undefined
  return { from, id, key, ending: { user, reason: reason as EndReason } }
}

export function encodeAcknowledgement(id: number, node: string): string {
  return JSON.stringify([FORMAT, id, node])
}

export function decodeAcknowledgement(text: string): { id: number; node: string } | undefined {
  const [id, node] = partsOf(text)
  return typeof id === 'number' && typeof node === 'string' ? { id, node } : undefined
}

function partsOf(text: string): unknown[] {
  if (text.length > MESSAGE_LENGTH_MAX) return []
  try {
    const message: unknown = JSON.parse(text)
    return Array.isArray(message) && message[0] === FORMAT ? message.slice(1) : []
  } catch {
    return []
  }
}

/**
 * Affinity: which server serves which client, exactly as nginx chooses, or where the mesh keeps the client's session.
 * Pure functions without I/O, for a gateway, a simulator, or to know beforehand where nginx will send a client.
 *
 * Exported from `sojourn/affinity`.
 *
 * @module
 */

export type { Affinity, AffinityOptions, AffinityServer, AffinityWalk, RequestHeaders } from './affinity.ts'
export { ipHash } from './ip-hash.ts'
export { ownerAffinity, type OwnerAffinity, type OwnerAffinityOptions, type OwnerServer } from './owner-affinity.ts'
export { roundRobin, type RoundRobin } from './round-robin.ts'

/**
 * Affinity: which server serves which client, exactly as nginx chooses. Pure functions without I/O, for a gateway,
 * a simulator, or to know beforehand where nginx will send a client.
 *
 * Exported from `sojourn/affinity`.
 *
 * @module
 */

export type { Affinity, AffinityOptions, AffinityServer, AffinityWalk } from './affinity.ts'
export { ipHash } from './ip-hash.ts'
export { roundRobin, type RoundRobin } from './round-robin.ts'

/** The names of what the store keeps beside sessions, under its prefix. */

export function incarnationsKey(keyPrefix: string): string {
  return `${keyPrefix}incarnations`
}

/** In the slot of the incarnations, whose script looks whether there is anything else. */
export function nodesKey(keyPrefix: string): string {
  return `${keyPrefix}nodes:{${incarnationsKey(keyPrefix)}}`
}

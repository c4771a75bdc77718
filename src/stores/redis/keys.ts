/** The names of what the store keeps beside sessions. All are under its prefix, by which a user of Redis is given rights. */

export function incarnationsKey(keyPrefix: string): string {
  return `${keyPrefix}incarnations`
}

/** In the slot of the incarnations, whose script looks whether there is anything else. */
export function nodesKey(keyPrefix: string): string {
  return keyBeside(keyPrefix, 'nodes', incarnationsKey(keyPrefix))
}

/** A key in the slot of another: of what stands in the braces, which is all of the other, or the tag in the prefix of both. */
export function keyBeside(keyPrefix: string, what: string, key: string): string {
  return `${keyPrefix}${what}:{${key}}`
}

/** @throws TypeError for a prefix with which some keys would not share a slot */
export function checkKeyPrefix(keyPrefix: unknown): asserts keyPrefix is string {
  if (typeof keyPrefix !== 'string') throw new TypeError('keyPrefix is text')
  if (/^[^{}]*(\{[^{}]+\}[^{}]*)?$/.test(keyPrefix)) return
  throw new TypeError(
    'keyPrefix has braces that a Cluster does not take for one tag; give none, or one such as {shop}:, which puts all sessions into one slot',
  )
}

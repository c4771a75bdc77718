/**
 * The laws that every store keeps, as tests: eight promises about sessions that servers share, proven over real HTTP
 * with a real cookie jar, under concurrency and faults. For those who write a store of their own.
 *
 * Exported from `sojourn/laws`. It knows no test runner.
 *
 * @example
 * ```ts
 * import { after, test } from 'node:test'
 * import { CookieJar } from 'tough-cookie'
 * import { proveLaws, startLawNode } from 'sojourn/laws'
 * import { myStore } from './my-store.ts'
 *
 * const nodes = [await startLawNode({ store: myStore() }), await startLawNode({ store: myStore() })]
 * proveLaws({ fleet: { nodes, createJar: () => new CookieJar() }, partial: true, test }) // nodes of one process cannot be killed
 * after(() => Promise.all(nodes.map((node) => node.stop())))
 * ```
 *
 * @module
 */
export { LawBrokenError, type LawNeed, type LawNumber, lawTexts, type LawTest } from './law.ts'
export type { CookieJarLike, FleetNode, LawExcuse, LawFleet } from './fleet.ts'
export { type LawNode, type LawNodeOptions, startLawNode } from './node.ts'
export { laws, lawsFor, proveLaws, type ProofOptions } from './laws.ts'
export { storeExcuses } from './excuses.ts'
export type { LawData } from './steps.ts'

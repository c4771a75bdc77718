/** Visitors who change their sessions all at once while something happens to the fleet, and what of it the fleet kept. */

import { Visitor } from './visitor.ts'

const VISITORS = 8

/** Changes of the whole crowd before it happens. */
const VIEWS_BEFORE = 80

/** Changes of each visitor after it has happened. */
const VIEWS_AFTER = 20

/** A visitor who is refused so often gives up: the fleet does not serve. */
const FAILURES_MAX = 200

/** What came of a crowd. */
export interface CrowdReport {
  readonly visitors: number
  /** Changes that were answered with success. */
  readonly acknowledged: number
  /** Requests that were not: what they asked may have been done or not. */
  readonly failed: number
}

interface Count {
  readonly visitor: Visitor
  acknowledged: number
  failed: number
}

/**
 * Lets a crowd count its views through the gateway, does what is to happen meanwhile, and looks at every node that is
 * `left` for what was acknowledged.
 *
 * @throws Error where an acknowledged view is missing, or one was counted twice
 */
export async function withCrowd(
  url: string,
  happen: () => Promise<void>,
  left: () => readonly { readonly name: string; readonly url: string }[],
): Promise<CrowdReport> {
  const crowd = Array.from({ length: VISITORS }, (): Count => ({ visitor: new Visitor(), acknowledged: 0, failed: 0 }))
  const isBusy = Promise.withResolvers<void>()
  let hasHappened = false
  const visit = async (count: Count): Promise<void> => {
    let viewsLeft = VIEWS_AFTER
    while (viewsLeft > 0) {
      if (await view(url, count)) viewsLeft -= hasHappened ? 1 : 0
      if (total(crowd, 'acknowledged') >= VIEWS_BEFORE) isBusy.resolve()
    }
  }
  const visits = Promise.all(crowd.map(visit))
  await Promise.race([isBusy.promise, visits])
  try {
    await happen()
  } finally {
    hasHappened = true
  }
  await visits
  for (const node of left()) await Promise.all(crowd.map((count) => verify(count, node)))
  return { visitors: VISITORS, acknowledged: total(crowd, 'acknowledged'), failed: total(crowd, 'failed') }
}

async function view(url: string, count: Count): Promise<boolean> {
  try {
    await count.visitor.act(url, 'view')
    count.acknowledged += 1
    return true
  } catch (error) {
    count.failed += 1
    if (count.failed > FAILURES_MAX) throw error
    return false
  }
}

async function verify({ visitor, acknowledged, failed }: Count, node: { name: string; url: string }): Promise<void> {
  const { session } = await visitor.look(node.url)
  if (session.views >= acknowledged && session.views <= acknowledged + failed) return
  throw new Error(
    `${node.name} knows ${session.views} views of a visitor with ${acknowledged} acknowledged and ${failed} failed`,
  )
}

function total(crowd: readonly Count[], what: 'acknowledged' | 'failed'): number {
  return crowd.reduce((sum, count) => sum + count[what], 0)
}

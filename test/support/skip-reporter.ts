/** Reporter for `node --test` that adds, as the last lines, how many tests were skipped for which reason. */

import type { TestEvent } from 'node:test/reporters'
import './whole-output.ts' // the runner itself does not heed --import

interface Skipped {
  tests: number
  suites: number
}

/** A skipped suite counts as one, since its tests are never looked at. */
export default async function* skipReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skippedByReason = new Map<string, Skipped>()
  for await (const event of events) {
    if (event.type !== 'test:pass' || event.data.skip === undefined || event.data.skip === false) continue
    const reason = typeof event.data.skip === 'string' && event.data.skip !== '' ? event.data.skip : 'without a reason'
    const skipped = skippedByReason.get(reason) ?? { tests: 0, suites: 0 }
    skipped[event.data.details.type === 'suite' ? 'suites' : 'tests'] += 1
    skippedByReason.set(reason, skipped)
  }
  for (const [reason, { tests, suites }] of skippedByReason) {
    const counts = [counted(tests, 'test'), counted(suites, 'suite')].filter((count) => count !== '')
    yield `skipped: ${counts.join(' and ')}, ${reason}\n`
  }
}

function counted(count: number, noun: string): string {
  return count === 0 ? '' : `${count} ${noun}${count === 1 ? '' : 's'}`
}

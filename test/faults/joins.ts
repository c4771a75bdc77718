/** `npm run joins -- [--sessions 20000] [--joins 20]`: joins a third node again and again, and reports each. */

import { parseArgs } from 'node:util'
import { startFaultFleet } from './fleet.ts'
import { joinAndSettle } from './join.ts'
import { Load } from './load.ts'

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '20000' },
    joins: { type: 'string', default: '20' },
    copies: { type: 'string', default: '2' },
    sample: { type: 'string', default: '500' },
  },
})
const copies = values.copies === 'all' ? 'all' : Number(values.copies)

await using fleet = await startFaultFleet({ starting: 2, mesh: { copies }, withProxies: true })
const ports = fleet.ports.slice(0, 2)
const third = fleet.node(2)
// All sessions are there; a sample of them is asked for, so that the asking does not hide the joining.
const bulk = new Load({ customers: Number(values.sessions) - Number(values.sample), ports })
const sample = new Load({ customers: Number(values.sample), ports })
await bulk.open()
await sample.open()
console.log(`${values.sessions} sessions on two nodes, copies ${copies}`)
let right = 0
for (let number = 1; number <= Number(values.joins); number++) {
  const wrong = sample.tally.violations.length
  const { listeningMs, readyMs, settledMs, bytes, unavailable } = await joinAndSettle(fleet, third, sample)
  const isRight = sample.tally.violations.length === wrong
  right += Number(isRight)
  console.log(
    `join ${number}: ${isRight ? 'right' : 'WRONG'}, takes visitors after ${listeningMs} ms, ready after ${readyMs} ms, ` +
      `settled after ${settledMs} ms, ${(bytes / 1e6).toFixed(1)} MB, 503 before ready: ${unavailable}`,
  )
  const { exit } = await third.stop()
  if (exit.code !== 0) console.log(`it ended with ${JSON.stringify(exit)}:\n${third.output}`)
}
await bulk.verify(ports)
await sample.verify(ports)
console.log(`right from the first answer in ${right} of ${values.joins} joins; ${bulk.tally.verified + sample.tally.verified} acknowledged changes found again`) // prettier-ignore
for (const violation of [...bulk.tally.violations, ...sample.tally.violations].slice(0, 20)) console.log(violation)

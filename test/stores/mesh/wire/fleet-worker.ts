/** A node of a fleet under load. Argument: its options as JSON. Says what happens to it; ends at any message. */

import { openSessions } from '../../../../src/core/index.ts'
import { startLawNode } from '../../../../src/laws/index.ts'
import { meshStore } from '../../../../src/stores/mesh/index.ts'
import type { FleetNodeOptions, FleetNodeReport } from './fleet.ts'

const { store, secrets, clockAheadMs = 0 } = JSON.parse(process.argv[2] ?? '') as FleetNodeOptions
const { now } = Date
Date.now = () => now() + clockAheadMs

const tell = (report: FleetNodeReport): void => void process.send?.(report)
const logger = {
  info(facts: { members?: readonly string[] }, message: string): void {
    if (message === 'the mesh has a new view' && facts.members) tell({ view: facts.members })
  },
  warn() {},
  error: (facts: object, message: string): void => console.error(message, facts),
}

const node = await startLawNode({
  store: meshStore(store),
  createSessions(options) {
    const clock = options.clock ?? { now: Date.now }
    const sessions = openSessions({ ...options, secret: [...secrets], deadline: '1s' }, { clock, logger })
    sessions.on('peerRefused', ({ code, reason }) => tell({ refused: code, reason }))
    return sessions
  },
})
tell({ url: node.url })
process.once('message', () => void node.stop().then(() => process.exit(0)))

import { after, describe, test } from 'node:test'
import { proveLaws, storeExcuses } from '../../../../src/laws/index.ts'
import { startProcessFleet } from '../../../laws/fleets.ts'
import { freePorts } from '../../../support/ports.ts'

const laterMinor = ['--import', new URL('later-minor.ts', import.meta.url).href]

describe('a mesh of two nodes of version 1.0 and one of 1.1', async () => {
  const ports = await freePorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const fleet = await startProcessFleet(
    3,
    'mesh',
    (node) => JSON.stringify({ listen: { host: '127.0.0.1', port: ports[node] }, peers }),
    (node) => (node === 1 ? laterMinor : []),
  )
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({
    fleet,
    excuses: storeExcuses.mesh,
    partial: true,
    test: (title, body) => void test(`keeps ${title}`, body),
  })
})

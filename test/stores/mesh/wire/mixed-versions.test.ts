import { after, describe, test } from 'node:test'
import { proveLaws, storeExcuses } from '../../../../src/laws/index.ts'
import { startProcessFleet } from '../../../laws/fleets.ts'
import { freePorts } from '../../../support/ports.ts'

const versions = [[], ['later-minor.ts'], ['earlier-minor.ts']].map((files) =>
  files.flatMap((file) => ['--import', new URL(file, import.meta.url).href]),
)

describe('a mesh of a node of this version, one of a later minor version and one of version 1.0', async () => {
  const ports = await freePorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const fleet = await startProcessFleet(
    3,
    'mesh',
    (node) => JSON.stringify({ listen: { host: '127.0.0.1', port: ports[node] }, peers }),
    (node) => versions[node] ?? [],
  )
  after(() => fleet[Symbol.asyncDispose]())
  proveLaws({
    fleet,
    excuses: storeExcuses.mesh,
    partial: true,
    // A node of version 1.0 cannot be asked for the sessions of a user, so that `revokeUser` is refused beside it.
    test: (title, body) => void (title.includes('revokeUser') || test(`keeps ${title}`, body)),
  })
})

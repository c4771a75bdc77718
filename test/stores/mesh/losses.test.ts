import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isOutvoted, mayBeOutvoted } from '../../../src/stores/mesh/protocol/losses.ts'
import { randomKey } from '../changes.ts'
import { checkProperty } from '../../support/seed.ts'

const sizes = fc.integer({ min: 1, max: 7 })
const copies = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant('all' as const))
const ack = fc.constantFrom('backup' as const, 'all' as const)

test('where some key is not served since its holders are away, a view says that some may not be', () =>
  checkProperty(
    fc.property(sizes, fc.nat(), fc.nat(), copies, ack, (size, awayCount, deadCount, copies, ack) => {
      const members = Array.from({ length: size }, (_, index) => ({ id: `${index}`, address: `h${index}:1`, zone: '' }))
      const ids = members.map(({ id }) => id)
      const away = ids.slice(0, awayCount % (size + 1))
      const dead = ids.slice(away.length, away.length + (deadCount % (size + 1)))
      const losses = [{ members, away, dead }]
      const view = { ballot: { number: 2, id: '9' }, incarnation: 1, members: [], leaving: [], previous: null, placements: [], losses } // prettier-ignore
      const options = { copies, ack }
      const isSome = Array.from({ length: 200 }, randomKey).some((key) => isOutvoted(view, key, options))
      assert.equal(mayBeOutvoted(view, options), isSome, `${away.length} away, ${dead.length} dead of ${size}`)
    }),
    { runs: 60 },
  ))

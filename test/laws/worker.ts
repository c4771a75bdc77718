/** One node of a fleet of processes. Arguments: the kind of store and its place. Says its address; ends at any message. */

import { startLawNode } from '../../src/laws/index.ts'
import { isStoreKind, openStoreOf } from './stores.ts'

const [kind = '', place = ''] = process.argv.slice(2)
if (!isStoreKind(kind)) throw new TypeError(`a worker knows no store ${kind}`)
const store = await openStoreOf(kind, place)
const node = await startLawNode({ store: store.definition, rotates: kind !== 'cookie' })
process.send?.(node.url)
process.once('message', () => {
  void node
    .stop()
    .then(() => store.close())
    .then(() => process.exit(0))
})

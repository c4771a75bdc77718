/** Makes this process a node of version 1.0, which knows nothing of users, when it is imported before the mesh: `node --import`. */

import { changeSources } from './source-changes.ts'

changeSources({
  'mesh/wire/limits.ts': [['PROTOCOL_MINOR = 1', 'PROTOCOL_MINOR = 0']],
  'mesh/wire/message-codec.ts': [
    ['Object.values(codecs).map(', 'Object.values(codecs).filter(({ number }) => number < 32).map('],
  ],
})

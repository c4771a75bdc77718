/**
 * Makes this process a node of a later minor version, when it is imported before the mesh: `node --import`. Each message and
 * each record has a section more, and every third message is followed by one of a type that this version does not know.
 */

import { changeSources } from './source-changes.ts'

changeSources({
  'mesh/wire/limits.ts': [['PROTOCOL_MINOR = 1', 'PROTOCOL_MINOR = 2']],
  'mesh/wire/message-codec.ts': [
    [
      '(writer) => codec.write(writer, message))',
      "(writer) => { codec.write(writer, message); writer.byte(9); writer.count(5); writer.bytes(Buffer.from('later')) })",
    ],
  ],
  'mesh/record-codec.ts': [
    ['return writer.finish()', 'for (const byte of [9, 2, 1, 1]) writer.byte(byte); return writer.finish()'],
  ],
  'mesh/wire/connection.ts': [
    [
      'this.#batch.push(frame)',
      'this.#batch.push(frame); if (this.isReady && Math.random() < 1 / 3) this.#batch.push(Buffer.of(4, 200, 1, 1, 1))',
    ],
    [
      'if (this.#peerMinor > PROTOCOL_MINOR) return',
      'if (frame[0] === 200 || this.#peerMinor > PROTOCOL_MINOR) return',
    ],
  ],
})

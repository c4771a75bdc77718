/**
 * Makes this process a node of a later minor version, when it is imported before the mesh: `node --import`. Each message and
 * each record has a section more, and every third message is followed by one of a type that version 1.0 does not know.
 */

import { registerHooks } from 'node:module'

type Replacement = readonly [text: string, by: string]

const CHANGES: Readonly<Record<string, readonly Replacement[]>> = {
  'mesh/wire/limits.ts': [['PROTOCOL_MINOR = 0', 'PROTOCOL_MINOR = 1']],
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
}

registerHooks({
  load(url, context, nextLoad) {
    const result = nextLoad(url, context)
    const changes = Object.entries(CHANGES).find(([file]) => url.endsWith(`/src/stores/${file}`))?.[1] ?? []
    if (changes.length === 0) return result
    let source = Buffer.from(result.source as Uint8Array).toString()
    for (const [text, by] of changes) {
      if (source.split(text).length !== 2) throw new Error(`${url} has not ${JSON.stringify(text)} once`)
      source = source.replace(text, () => by)
    }
    return { ...result, source }
  },
})

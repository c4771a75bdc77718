/** A peer made by hand, which knows the secret and says what no node says. */

import { EventEmitter, once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import type { Hello } from '../../../../src/stores/mesh/wire/connection.ts'
import { encodeFrame, FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { decodeMessage, encodeMessage, type WireMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { presharedSecurity } from '../../../../src/stores/mesh/wire/security.ts'
import { createKeyRing } from '../../../../src/token/index.ts'
import { oldSecret } from './transport-support.ts'

export interface RawPeer extends AsyncDisposable {
  readonly socket: TLSSocket
  /** What the node said. */
  readonly received: readonly WireMessage[]
  send(...messages: WireMessage[]): void
  write(bytes: Buffer): void
  /** The first of its type that the node says, or has said. */
  next<T extends WireMessage['type']>(type: T): Promise<Extract<WireMessage, { type: T }>>
  closed(): Promise<void>
}

/** Opens a secured connection and waits for the node's hello. */
export async function connectRawPeer(port: number, secret: string = oldSecret): Promise<RawPeer> {
  const [client] = presharedSecurity(createKeyRing(secret)).clients
  const socket = connect({ ...client, host: '127.0.0.1', port })
  await once(socket, 'secureConnect')
  const peer = toRawPeer(socket)
  await peer.next('hello')
  return peer
}

export function toRawPeer(socket: TLSSocket): RawPeer {
  const changes = new EventEmitter()
  const received: WireMessage[] = []
  const decoder = new FrameDecoder(FRAME_BYTES_MAX)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    for (const frame of decoder.frames(chunk)) {
      const message = decodeMessage(frame)
      if (message) received.push(message)
    }
    changes.emit('change')
  })
  return {
    socket,
    received,
    send: (...messages) => void socket.write(Buffer.concat(messages.map(encodeMessage))),
    write: (bytes) => void socket.write(bytes),
    async next<T extends WireMessage['type']>(type: T) {
      for (;;) {
        const message = received.find((message): message is Extract<WireMessage, { type: T }> => message.type === type)
        if (message) return message
        await once(changes, 'change')
      }
    },
    closed: () => closed,
    async [Symbol.asyncDispose]() {
      socket.destroy()
      await closed
    },
  }
}

export function helloOf(id: string, more: Partial<Hello> = {}): Hello {
  const member = { id, address: '127.0.0.1:1', zone: '' }
  return { type: 'hello', member, major: 1, minor: 0, wallClockMs: Date.now(), ...more }
}

/** A frame with any type and any body. */
export function rawFrame(type: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  return encodeFrame(type, (writer) => writer.bytes(body))
}

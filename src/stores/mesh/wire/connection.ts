import type { TLSSocket } from 'node:tls'
import type { Member, Message } from '../protocol/messages.ts'
import type { UserMessage } from '../users/messages.ts'
import { WireFormatError } from './bytes.ts'
import { FrameDecoder } from './frame.ts'
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX, LINGER_MS, PROTOCOL_MINOR, REASON_LENGTH_MAX } from './limits.ts'
import { type CloseCode, decodeMessage, encodeMessage, type WireMessage, WireVersionError } from './message-codec.ts'

export type Hello = Extract<Message, { type: 'hello' }>

/** How a connection ended. */
export interface Ending {
  /** `lost`: the network or the peer's process ended it; `failed`: an error of this node. `undefined` is a code of a later version. */
  readonly code: CloseCode | 'lost' | 'failed' | undefined
  readonly reason: string
  /** The peer closed it, and the reason is the peer's. */
  readonly isByPeer: boolean
  /** Both sides had said hello. */
  readonly wasReady: boolean
  /** What this node threw, where it failed. */
  readonly error?: unknown
}

export interface ConnectionOptions {
  /** This side dialed. */
  readonly isDialed: boolean
  readonly handshakeMs: number
  readonly queueBytesMax: number
  /** Called when this side says who it is. */
  hello(): Hello
  /** Whether this side wants the connection with this peer; a string is the reason why not. */
  judge(connection: Connection, hello: Hello): { code: CloseCode; reason: string } | undefined
  onReady(connection: Connection): void
  onMessage(connection: Connection, message: Message | UserMessage): void
  /** The peer says where its other peers are. */
  onPeers(connection: Connection, addresses: readonly string[]): void
  /** Once, as soon as it is of no more use; its last bytes may still be on their way. */
  onEnded(connection: Connection, ending: Ending): void
}

/**
 * A secured connection. The side that took it says hello; the side that dialed answers with its own, if it wants it; the
 * first side welcomes it, if it wants it too. Then it is ready, on both sides, and carries messages.
 */
export class Connection {
  readonly isDialed: boolean
  /** Known with the peer's hello. */
  peer: Member | undefined
  isReady = false
  ending: Ending | undefined
  /** Ticks of {@link Connection.tick} since the last byte came. */
  #silentTicks = 0
  #peerMinor = 0
  #batch: Buffer[] = []
  #batchBytes = 0
  #isFull = false
  #flushing: NodeJS.Immediate | undefined
  readonly #socket: TLSSocket
  readonly #options: ConnectionOptions
  readonly #decoder = new FrameDecoder(HELLO_BYTES_MAX)
  readonly #deadline: NodeJS.Timeout

  constructor(socket: TLSSocket, options: ConnectionOptions) {
    this.isDialed = options.isDialed
    this.#socket = socket
    this.#options = options
    const late = (): void => this.close('silence', `no handshake within ${options.handshakeMs} ms`)
    this.#deadline = setTimeout(late, options.handshakeMs).unref()
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#end('lost', error.message))
    socket.on('end', () => this.#end('lost', 'the peer ended the connection'))
    socket.on('close', () => this.#end('lost', 'the connection was cut'))
    if (!this.isDialed) this.send(options.hello())
  }

  /** The minor version that the peer speaks; known with its hello. */
  get peerMinor(): number {
    return this.#peerMinor
  }

  /** For logs. */
  get remoteAddress(): string {
    return this.peer?.address ?? `${this.#socket.remoteAddress}:${this.#socket.remotePort}`
  }

  /**
   * Sends with all else that is sent in this turn of the event loop. Where too much waits already, the connection ends.
   *
   * @throws RangeError for a message that no node may send
   */
  send(message: WireMessage): void {
    if (this.ending || this.#isFull) return
    const frame = encodeMessage(message)
    this.#batch.push(frame)
    this.#batchBytes += frame.length
    this.#flushing ??= setImmediate(() => this.#flush())
    const waiting = this.#batchBytes + this.#socket.writableLength
    if (waiting <= this.#options.queueBytesMax) return
    // Later, since whoever sends is in the middle of something.
    this.#isFull = true
    queueMicrotask(() => this.#drop('full', `${waiting} bytes wait for it, and it does not read them`))
  }

  /** Tells the peer why, and ends. */
  close(code: CloseCode, reason: string): void {
    if (this.ending) return
    this.send({ type: 'close', code, reason: reason.slice(0, REASON_LENGTH_MAX) })
    this.#flush()
    this.#end(code, reason)
  }

  /** Called about every second: a timer and not the time, so that a process that was stopped hears what waited for it. */
  tick(silentTicksMax: number): void {
    this.#silentTicks += 1
    if (this.#silentTicks >= silentTicksMax) this.#drop('silence', 'it has said nothing')
  }

  /** Resolves when the socket is closed. */
  async closed(): Promise<void> {
    if (!this.#socket.closed) await new Promise((resolve) => this.#socket.once('close', resolve))
  }

  #flush(): void {
    clearImmediate(this.#flushing)
    this.#flushing = undefined
    if (this.#batch.length > 0 && this.#socket.writable) {
      this.#socket.write(this.#batch.length === 1 ? (this.#batch[0] ?? '') : Buffer.concat(this.#batch))
    }
    this.#batch = []
    this.#batchBytes = 0
  }

  /** Ends without waiting for the peer to take what waits. */
  #drop(code: CloseCode, reason: string): void {
    this.#end(code, reason)
    this.#socket.destroy()
  }

  #end(code: Ending['code'], reason: string, more: { isByPeer?: boolean; error?: unknown } = {}): void {
    if (this.ending) return
    this.ending = { code, reason, isByPeer: false, wasReady: this.isReady, ...more }
    clearTimeout(this.#deadline)
    this.#flush()
    // Bytes that still come are read and dropped: unread ones would make the system reset the connection, and with it
    // the peer's view of the reason.
    this.#socket.end()
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref()
    this.#socket.once('close', () => clearTimeout(linger))
    this.#options.onEnded(this, this.ending)
  }

  #receive(chunk: Buffer): void {
    if (this.ending) return
    this.#silentTicks = 0
    try {
      for (const frame of this.#decoder.frames(chunk)) {
        this.#take(frame)
        if (this.ending) return
      }
    } catch (error) {
      if (error instanceof WireVersionError) this.close('version', error.message)
      else if (error instanceof WireFormatError) this.close('format', error.message)
      else this.#end('failed', 'this node failed on a message', { error })
    }
  }

  #take(frame: Buffer): void {
    const message = decodeMessage(frame)
    if (message === undefined) {
      if (this.#peerMinor > PROTOCOL_MINOR) return
      throw new WireFormatError(`a frame of type ${frame[0]}, which there is not`)
    }
    if (message.type === 'close') this.#end(message.code, message.reason, { isByPeer: true })
    else if (message.type === 'hello') this.#greet(message)
    else if (message.type === 'welcome') this.#welcome()
    else if (!this.isReady) throw new WireFormatError(`${message.type} before a hello`)
    else if (message.type === 'peers') this.#options.onPeers(this, message.addresses)
    else this.#options.onMessage(this, message)
  }

  #greet(hello: Hello): void {
    if (this.peer) throw new WireFormatError('a second hello')
    this.peer = hello.member
    this.#peerMinor = hello.minor
    const refusal = this.#options.judge(this, hello)
    if (refusal) this.close(refusal.code, refusal.reason)
    else if (this.isDialed) this.send(this.#options.hello())
    else {
      this.send({ type: 'welcome' })
      this.#ready()
    }
  }

  #welcome(): void {
    if (!this.isDialed || !this.peer || this.isReady) throw new WireFormatError('a welcome that nobody waits for')
    this.#ready()
  }

  #ready(): void {
    clearTimeout(this.#deadline)
    this.isReady = true
    this.#decoder.frameBytesMax = FRAME_BYTES_MAX
    this.#options.onReady(this)
  }
}

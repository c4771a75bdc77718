import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HeaderLine, Session, Sessions } from '../core/index.ts'
import { addHeader, applyHead, type Head, resetHead, takeHead } from './head.ts'

/**
 * What a gate asks of its adapter. Implement it by a class: V8 comes to allocate an object literal that lives as long as
 * its request among the old objects, where it keeps the request from the young-generation collector, and the next literal
 * with it. That doubled what a request costs.
 */
export interface Committer {
  /** Asked when the handler begins its response: whether nothing is to be committed, so that it need not be held back. */
  isSettled(): boolean
  /** Called once, when the handler begins its response. Resolves the headers to add to it. */
  commit(response: ServerResponse): Promise<HeaderLine[]>
}

/** Commits a session as the handler left it. */
export class SessionCommitter<Data extends object> implements Committer {
  readonly #sessions: Sessions<Data>
  readonly #session: Session<Data>

  constructor(sessions: Sessions<Data>, session: Session<Data>) {
    this.#sessions = sessions
    this.#session = session
  }

  isSettled(): boolean {
    return this.#sessions.isSettled(this.#session)
  }

  commit(): Promise<HeaderLine[]> {
    return this.#sessions.commit(this.#session)
  }
}

/**
 * Holds back what a handler writes until its session is committed, so that no byte of a response is on its way before
 * its session is stored.
 *
 * The first `writeHead`, `flushHeaders`, `write` or `end` starts the commit. Until it is done calls are queued, `write`
 * returns `false`, and the response looks begun (`headersSent`, `writableEnded`) to whoever asks. Informational
 * responses (1xx) pass at once.
 *
 * @param failed called when the commit failed and the response is as if nothing had been written: the framework answers
 */
export function holdResponse(response: ServerResponse, committer: Committer, failed: (error: unknown) => void): void {
  new Gate(response, committer, failed).close()
}

type Method = (...args: unknown[]) => unknown
type Methods = Record<'writeHead' | 'flushHeaders' | 'write' | 'end', Method>

/** The methods of a response as they are now. */
class MethodsNow implements Methods {
  readonly writeHead: Method
  readonly flushHeaders: Method
  readonly write: Method
  readonly end: Method

  constructor({ writeHead, flushHeaders, write, end }: Methods) {
    this.writeHead = writeHead
    this.flushHeaders = flushHeaders
    this.write = write
    this.end = end
  }
}

/** What a handler asked for while the response was held. */
class Call {
  readonly run: () => unknown
  readonly callback: ((error: unknown) => void) | undefined

  constructor(run: Call['run'], callback: Call['callback']) {
    this.run = run
    this.callback = callback
  }
}

/** A stream that was piped into the response. */
interface Source {
  on(name: 'error', listener: () => void): unknown
  listenerCount(name: 'data'): number
  unpipe?(response: ServerResponse): unknown
  destroy?(): unknown
}

/** What Node's `headersSent` reads, and what makes a late `setHeader` throw. HTTP/2 has it not: there a response looks begun only when it is. */
interface Internals {
  _header: string | null
}

const BEGUN = 'held back until the session is committed'

/** The context in which the framework answers a failed commit: tells its writes from those of a handler that goes on. */
const answering = new AsyncLocalStorage<Gate>()

class Gate {
  readonly #response: ServerResponse
  readonly #committer: Committer
  readonly #failed: (error: unknown) => void
  readonly #inner: Methods
  readonly #internals: Internals | undefined
  /** The response as the adapter found it: what a failed commit goes back to. */
  readonly #before: Head
  #statusCode = 200
  #state: 'open' | 'committing' | 'passing' | 'failed' = 'open'
  #calls: Call[] = []
  #isEnded = false
  #owesDrain = false
  readonly #sources = new Set<Source>()

  constructor(response: ServerResponse, committer: Committer, failed: (error: unknown) => void) {
    this.#response = response
    this.#committer = committer
    this.#failed = failed
    this.#before = takeHead(response)
    this.#internals = Object.hasOwn(response, '_header') ? (response as unknown as Internals) : undefined
    this.#inner = new MethodsNow(response as unknown as Methods)
  }

  close(): void {
    const response = this.#response
    this.#standInFront() // never taken off again: middleware that was added later has wrapped them
    response.on('pipe', (source: Source) => this.#sources.add(source))
  }

  #standInFront(): void {
    const methods: Methods = {
      writeHead: (...args) => this.#writeHead(args),
      flushHeaders: () => this.#flushHeaders(),
      write: (...args) => this.#write(args),
      end: (...args) => this.#end(args),
    }
    Object.assign(this.#response, methods)
  }

  #writeHead(args: unknown[]): unknown {
    if (this.#isHeld()) {
      if (this.#state === 'committing') return this.#internals ? this.#original('writeHead', args) : this.#response
      // Applied at once, so that a wrong header throws to its author; what Node does where headers were set before.
      if (!applyHead(this.#response, args)) return this.#original('writeHead', args)
      this.#hold(() => this.#original('writeHead', [this.#response.statusCode]))
      return this.#response
    }
    return this.#mayPass() ? this.#original('writeHead', args) : this.#response
  }

  #flushHeaders(): unknown {
    if (this.#isHeld()) return this.#hold(() => this.#original('flushHeaders', []))
    return this.#mayPass() ? this.#original('flushHeaders', []) : undefined
  }

  #write(args: unknown[]): unknown {
    const callback = args.find((arg) => typeof arg === 'function') as Call['callback']
    if (this.#isHeld()) {
      const [chunk] = args
      const isWritable = typeof chunk === 'string' || chunk instanceof Uint8Array
      if (!isWritable) return this.#original('write', args) // Node has the error for it
      this.#hold(() => this.#original('write', args), callback)
      this.#owesDrain = true
      return false
    }
    if (this.#mayPass()) return this.#original('write', args)
    this.#refuse(callback)
    return false
  }

  #end(args: unknown[]): unknown {
    const callback = args.find((arg) => typeof arg === 'function') as Call['callback']
    if (this.#isHeld()) {
      const [chunk] = args
      const isEndable = !chunk || ['string', 'function'].includes(typeof chunk) || chunk instanceof Uint8Array
      if (!isEndable) return this.#original('end', args)
      this.#hold(() => this.#original('end', args), callback)
      this.#isEnded = true
      // Not Node's `finished`: a server that closes cuts the connections of responses that have it as idle ones.
      if (this.#internals) Object.defineProperty(this.#response, 'writableEnded', { value: true, configurable: true })
      return this.#response
    }
    if (this.#mayPass()) return this.#original('end', args)
    this.#refuse(callback)
    return this.#response
  }

  #original(name: keyof Methods, args: unknown[]): unknown {
    return this.#inner[name].apply(this.#response, args)
  }

  #isHeld(): boolean {
    // Or somebody went round the gate.
    if (this.#state === 'open' && (this.#response.headersSent || this.#committer.isSettled())) this.#state = 'passing'
    return this.#state === 'open' || this.#state === 'committing'
  }

  /**
   * After a failed commit only the framework may write, once. A handler that had ended its response is done; one that
   * had not may go on at any time, and what it writes would be taken for a part of the framework's answer.
   */
  #mayPass(): boolean {
    if (this.#state !== 'failed') return true
    return !this.#response.writableEnded && (this.#isEnded || answering.getStore() === this)
  }

  #refuse(callback: Call['callback']): void {
    if (callback) process.nextTick(callback, new Error('the session could not be written, so another answer was given'))
  }

  #hold(run: () => unknown, callback?: Call['callback']): void {
    this.#calls.push(new Call(run, callback))
    if (this.#state === 'committing') return
    this.#state = 'committing'
    this.#statusCode = this.#response.statusCode
    if (this.#internals) this.#internals._header = BEGUN
    this.#committer.commit(this.#response).then(
      (lines) => this.#release(lines),
      (error: unknown) => this.#fail(error, []),
    )
  }

  #release(lines: HeaderLine[]): void {
    const response = this.#response
    this.#reopen()
    this.#state = 'passing'
    response.statusCode = this.#statusCode // an assignment after `end` has no effect in Node
    const calls = this.#calls
    this.#calls = []
    try {
      for (const [name, value] of lines) addHeader(response, name, value)
      for (const { run } of calls) if (run() === false) this.#owesDrain = false // it will be emitted by Node
    } catch (error) {
      if (!response.headersSent) return this.#fail(error, lines)
      response.destroy(error instanceof Error ? error : undefined)
    }
    if (this.#owesDrain && !this.#isEnded) response.emit('drain')
  }

  #fail(error: unknown, lines: HeaderLine[]): void {
    const response = this.#response
    this.#reopen()
    this.#state = 'failed'
    resetHead(response, this.#before, error)
    this.#standInFront() // what wrapped them later, as compression does, is done with its response and would swallow another
    for (const [name, value] of lines) addHeader(response, name, value)
    for (const source of this.#sources) source.unpipe?.(response)
    const abandon = (): void => this.#abandon(error)
    if (response.closed) process.nextTick(abandon)
    else response.once('close', abandon)

    if (this.#isEnded) this.#failed(error)
    else {
      // What the handler does to the connection later, when it learns of the failure, must not hit another request.
      if (response.req.httpVersionMajor === 1) response.setHeader('connection', 'close')
      answering.run(this, () => this.#failed(error))
    }
  }

  #reopen(): void {
    if (!this.#internals) return
    this.#internals._header = null
    Reflect.deleteProperty(this.#response, 'writableEnded')
  }

  /** The handler learns that nothing of its response was sent, as it would from a client that went away. */
  #abandon(error: unknown): void {
    for (const { callback } of this.#calls) if (callback) process.nextTick(callback, error)
    this.#calls = []
    for (const source of this.#sources) {
      if (source === (this.#response.req as IncomingMessage & Source) || source.listenerCount('data') > 0) continue
      source.on('error', () => {})
      source.destroy?.()
    }
  }
}

import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { session } from '../../src/adapters/fastify.ts'
import { SojournError } from '../../src/core/index.ts'
import { portOf } from '../support/ports.ts'
import { proveAdapter } from './contract.ts'
import { filePath, largeStream, rawRoutes } from './support/routes.ts'
import { codeOf, createStage, type Framework, type Stage, someTurns, statusOf } from './support/stage.ts'
import { createTestStore } from './support/store.ts'
import { ask } from './support/wire.ts'

/** What a Fastify application would not hijack its reply for. */
const own = new Set(['/large', '/pipe', '/end'])

const framework: Framework = {
  name: 'Fastify 5',
  isRaw: (path) => path in rawRoutes && !own.has(path),
  async serve(stage) {
    const app = Fastify()
    app.addHook('onRequest', async (_, reply) => void reply.header('x-before', 'kept'))
    await app.register(session(stage.sessions, { skip: (request) => request.url.startsWith('/assets/') }))
    app.setErrorHandler(async (error, _, reply) => {
      stage.errors.push(codeOf(error))
      if (stage.errorStyle === 'default') throw error
      if (stage.errorStyle === 'async json') {
        await someTurns()
        if (error instanceof SojournError) reply.headers(error.headers)
      }
      return reply.code(statusOf(error)).send({ code: codeOf(error) })
    })
    addRoutes(app, stage)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return {
      port: portOf(app.server),
      async [Symbol.asyncDispose]() {
        app.server.closeAllConnections()
        await app.close()
      },
    }
  },
}

proveAdapter(framework)

describe('Fastify 5', () => {
  test('lets go of a body that is not sent, whatever its kind', async () => {
    const { sessions } = createStage(createTestStore())
    const released: string[] = []
    const node = (): Readable => new Readable({ read() {}, destroy: (_, done) => done(void released.push('node')) })
    const web = (name: string): ReadableStream => new ReadableStream({ cancel: () => void released.push(name) })
    const bodies = { node, web: () => web('web'), response: () => new Response(web('response')) }
    const app = Fastify()
    await app.register(session(sessions))
    for (const [name, body] of Object.entries(bodies)) {
      app.get(`/${name}`, (request, reply) => {
        Object.assign(sessions.of(request).data, { greet: () => 'hello' })
        return reply.send(body())
      })
    }
    for (const name of Object.keys(bodies)) assert.equal((await app.inject(`/${name}`)).statusCode, 500)
    assert.deepEqual(released, Object.keys(bodies))
  })

  test('an error handler that sets no status answers a failed commit with its status', async () => {
    const { sessions } = createStage(createTestStore())
    const app = Fastify()
    await app.register(session(sessions))
    app.setErrorHandler((_, __, reply) => reply.send({ sorry: true }))
    app.get('/', async (request, reply) => {
      sessions.of(request).data.theme = 'x'.repeat(300_000)
      return reply.code(201).send({})
    })
    assert.equal((await app.inject('/')).statusCode, 413)
  })

  test('keeps cookies that were set on the raw response, and what other plugins named session', async () => {
    const { sessions } = createStage(createTestStore())
    const app = Fastify()
    app.decorateRequest<unknown>('session', 'another')
    await app.register(session(sessions))
    app.get('/', (request, reply) => {
      sessions.of(request).data.views = 1
      reply.raw.setHeader('set-cookie', ['mine=1', 'yours=2'])
      return request.session
    })
    const response = await app.inject('/')
    assert.equal(response.body, 'another')
    assert.deepEqual(response.cookies.map(({ name }) => name), ['mine', 'yours', '__Host-sid', '__Host-sid-v']) // prettier-ignore
  })

  test('an assignment in a later onSend hook raises lateChange', async () => {
    const { sessions } = createStage(createTestStore())
    const late: unknown[] = []
    sessions.on('lateChange', ({ fields }) => late.push(...fields))
    const app = Fastify()
    await app.register(session(sessions))
    app.addHook('onSend', async (request) => void (sessions.of(request).data.theme = 'dark'))
    app.get('/', async () => ({}))
    await app.listen({ port: 0, host: '127.0.0.1' })
    await ask(portOf(app.server), { path: '/' }).response
    await app.close()
    assert.deepEqual(late, ['theme'])
  })

  test('an error after the commit keeps the cookies and commits no second time', async () => {
    const store = createTestStore()
    const { sessions } = createStage(store)
    const app = Fastify()
    await app.register(session(sessions))
    app.addHook('onSend', async (_, reply) => {
      if (reply.statusCode === 200) throw new Error('thrown after the commit')
    })
    app.get('/', async (request) => {
      sessions.of(request).data.views = 1
      return {}
    })
    const response = await app.inject('/')
    assert.equal(response.statusCode, 500)
    assert.equal(response.cookies.length, 2)
    assert.deepEqual(store.calls, ['apply'])
  })
})

function addRoutes(app: FastifyInstance, stage: Stage): void {
  const { sessions } = stage
  const change = (request: FastifyRequest): void => void (sessions.of(request).data.views += 1)
  app.get('/assets/:file', async (request) => {
    try {
      return sessions.of(request)
    } catch (error) {
      return String(codeOf(error))
    }
  })
  for (const [path, handler] of Object.entries(rawRoutes)) {
    if (own.has(path)) continue
    app.get(path, (request, reply) => {
      reply.hijack()
      return handler(request.raw, reply.raw, sessions.of(request), stage)
    })
  }
  const changing = (path: string, answer: (request: FastifyRequest, reply: FastifyReply) => unknown): void => {
    app.get(path, async (request, reply) => {
      change(request)
      return answer(request, reply)
    })
  }
  changing('/large', () => largeStream())
  changing('/pipe', () => createReadStream(filePath))
  changing('/end', (_, reply) => reply.type('text/plain').send('whole'))
  app.get('/nothing', async () => ({}))
  changing('/json', (request, reply) => {
    reply.header('set-cookie', 'mine=1; Path=/')
    const same = Object.is(request.session, sessions.of(request))
    return { views: sessions.of(request).data.views, same }
  })
  changing('/redirect', (_, reply) => reply.redirect('/json'))
  changing('/file', (_, reply) => reply.type('text/plain').send(createReadStream(filePath)))
  changing('/no-content', (_, reply) => reply.code(204).send())
  changing('/not-modified', (_, reply) => reply.code(304).header('etag', '"1"').send())
  app.get('/throw', (request) => {
    change(request)
    throw new Error('thrown')
  })
  changing('/reject', async () => {
    await Promise.resolve()
    throw new Error('rejected')
  })
  app.get('/during', async (request) => {
    await stage.during(sessions.of(request))
    return { done: true }
  })
}

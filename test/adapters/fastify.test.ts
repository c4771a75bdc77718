import { createReadStream } from 'node:fs'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { session } from '../../src/adapters/fastify.ts'
import { SojournError } from '../../src/core/index.ts'
import { portOf } from '../support/ports.ts'
import { proveAdapter } from './contract.ts'
import { filePath, largeStream, rawRoutes } from './support/routes.ts'
import { codeOf, type Framework, type Stage, someTurns, statusOf } from './support/stage.ts'

/** What a Fastify application would not hijack its reply for. */
const own = new Set(['/large', '/pipe', '/end'])

const framework: Framework = {
  name: 'Fastify 5',
  isRaw: (path) => path in rawRoutes && !own.has(path),
  async serve(stage) {
    const app = Fastify()
    await app.register(session(stage.sessions, { skip: (request) => request.url.startsWith('/assets/') }))
    app.addHook('onRequest', async (_, reply) => void reply.header('x-after', 'dropped'))
    app.setErrorHandler(async (error, _, reply) => {
      stage.errors.push(codeOf(error))
      if (stage.errorStyle === 'default') throw error
      if (stage.errorStyle === 'async json') await someTurns()
      if (error instanceof SojournError) reply.headers(error.headers)
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

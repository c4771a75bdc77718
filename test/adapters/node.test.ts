import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import { type NodeSessionOptions, withSession } from '../../src/adapters/node.ts'
import { SojournError } from '../../src/core/index.ts'
import { proveAdapter } from './contract.ts'
import { filePath, type RawHandler, rawRoutes } from './support/routes.ts'
import { serve } from './support/serve.ts'
import { codeOf, type Stage, someTurns, statusOf } from './support/stage.ts'

proveAdapter({
  name: 'node:http',
  serve(stage) {
    const options: NodeSessionOptions = { skip: (request) => request.url?.startsWith('/assets/') ?? false }
    if (stage.errorStyle !== 'default') options.onError = (...facts) => void answer(stage, ...facts)
    const listener = withSession(stage.sessions, (request, response) => handle(stage, request, response), options)
    return serve((request, response) => {
      response.setHeader('x-before', 'kept')
      listener(request, response)
    })
  },
})

const routes: Readonly<Record<string, RawHandler>> = {
  ...rawRoutes,
  '/nothing': (_, response) => response.end('{}'),
  '/json': (_, response, session) => {
    session.data.views += 1
    response.setHeader('set-cookie', 'mine=1; Path=/')
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ views: session.data.views, same: true }))
  },
  '/redirect': (_, response, session) => {
    session.data.views += 1
    response.writeHead(302, { location: '/json' }).end()
  },
  '/file': (_, response, session) => {
    session.data.views += 1
    pipeline(createReadStream(filePath), response, () => {})
  },
  '/no-content': (_, response, session) => {
    session.data.views += 1
    response.writeHead(204).end()
  },
  '/not-modified': (_, response, session) => {
    session.data.views += 1
    response.writeHead(304, { etag: '"1"' }).end()
  },
  '/throw': (_, __, session) => {
    session.data.views += 1
    throw new Error('thrown')
  },
  '/reject': async (_, __, session) => {
    session.data.views += 1
    await Promise.resolve()
    throw new Error('rejected')
  },
  '/during': async (_, response, session, stage) => {
    await stage.during(session)
    response.end('{"done":true}')
  },
}

function handle(stage: Stage, request: IncomingMessage, response: ServerResponse): unknown {
  const path = request.url ?? ''
  if (!path.startsWith('/assets/')) return routes[path]?.(request, response, stage.sessions.of(request), stage)
  try {
    return stage.sessions.of(request)
  } catch (error) {
    return response.end(String(codeOf(error)))
  }
}

async function answer(stage: Stage, error: unknown, _: IncomingMessage, response: ServerResponse): Promise<void> {
  stage.errors.push(codeOf(error))
  if (response.headersSent) return void response.destroy()
  if (stage.errorStyle === 'async json') await someTurns()
  const isWhole = stage.errorStyle === 'async json' && error instanceof SojournError
  const headers = isWhole ? error.headers : {}
  response.writeHead(statusOf(error), { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ code: codeOf(error) }))
}

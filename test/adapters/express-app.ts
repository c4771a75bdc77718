/** The contract's application on Express, 4 or 5. */

import type express from 'express'
import { session } from '../../src/adapters/express.ts'
import { SojournError } from '../../src/core/index.ts'
import { filePath, rawRoutes } from './support/routes.ts'
import { serve } from './support/serve.ts'
import { codeOf, type Framework, type Stage, someTurns, statusOf } from './support/stage.ts'

type ExpressModule = typeof express

/** @param catches whether the framework passes a rejection of a handler to the error handlers, as Express 5 does */
export function expressFramework(name: string, module: ExpressModule, { catches }: { catches: boolean }): Framework {
  return {
    name,
    serve: (stage) => serve(build(module, stage, catches)),
  }
}

function build(module: ExpressModule, stage: Stage, catches: boolean): express.Express {
  const { sessions } = stage
  const app = module()
  app.set('env', 'test') // finalhandler prints otherwise
  app.use((_, res, next) => {
    res.setHeader('x-before', 'kept')
    next()
  })
  app.use(session(sessions, { skip: (req) => req.path.startsWith('/assets/') }))
  app.get('/assets/:file', (req, res) => {
    try {
      sessions.of(req)
    } catch (error) {
      res.send(String(codeOf(error)))
    }
  })
  const get = (path: string, handler: express.RequestHandler): void => {
    app.get(path, async (req, res, next) => {
      try {
        await handler(req, res, next)
      } catch (error) {
        if (catches) throw error
        next(error)
      }
    })
  }
  const change = (req: express.Request): void => void (sessions.of(req).data.views += 1)

  for (const [path, handler] of Object.entries(rawRoutes)) {
    get(path, (req, res) => handler(req, res, sessions.of(req), stage))
  }
  get('/nothing', (_, res) => void res.json({}))
  get('/json', (req, res) => {
    change(req)
    res.cookie('mine', '1')
    res.json({ views: sessions.of(req).data.views, same: Object.is(req.session, sessions.of(req)) })
  })
  get('/redirect', (req, res) => {
    change(req)
    res.redirect('/json')
  })
  get('/file', (req, res) => {
    change(req)
    res.sendFile(filePath)
  })
  get('/no-content', (req, res) => {
    change(req)
    res.sendStatus(204)
  })
  get('/not-modified', (req, res) => {
    change(req)
    res.setHeader('etag', '"1"')
    res.status(304).end()
  })
  get('/throw', (req) => {
    change(req)
    throw new Error('thrown')
  })
  get('/reject', async (req) => {
    change(req)
    await Promise.resolve()
    throw new Error('rejected')
  })
  get('/during', async (req, res) => {
    await stage.during(sessions.of(req))
    res.json({ done: true })
  })
  app.post('/during', async (req, res, next) => {
    try {
      await stage.during(sessions.of(req))
      res.json({ done: true })
    } catch (error) {
      next(error)
    }
  })

  const answer: express.ErrorRequestHandler = async (error, _, res, next) => {
    stage.errors.push(codeOf(error))
    if (res.headersSent || stage.errorStyle === 'default') return next(error)
    if (stage.errorStyle === 'async json') {
      await someTurns()
      if (error instanceof SojournError) res.set(error.headers)
    }
    res.status(statusOf(error)).json({ code: codeOf(error) })
  }
  app.use(answer)
  return app
}

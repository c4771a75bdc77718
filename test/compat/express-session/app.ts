/** One application as people write it for express-session, with Passport and connect-flash; and a server for it. */

import { once } from 'node:events'
import { createRequire } from 'node:module'
import flash from 'connect-flash'
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express'
import { Passport } from 'passport'
import { Strategy } from 'passport-local'
import type { RequestSession } from '../../../src/compat/express-session/index.ts'
import { portOf } from '../../support/ports.ts'

export type ExpressModule = typeof express

export const express5: ExpressModule = express
const requireModule = createRequire(import.meta.url)
export const express4: ExpressModule = requireModule('express4') as ExpressModule

/** The real express-session. Not imported: its types of `req.session` would stand against those of this program. */
export const expressSession: (options: object) => RequestHandler = requireModule('express-session') as never

export type Fields = Record<string, unknown>

export function shown(request: object): RequestSession<Fields> {
  return (request as { session: RequestSession<Fields> }).session
}

export interface Server extends AsyncDisposable {
  readonly url: string
}

export async function serve(app: Express): Promise<Server> {
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

/** Answers an error as JSON, with its status. */
export const answerError: ErrorRequestHandler = (
  error: { status?: number; code?: string; message?: string },
  _,
  res,
  next,
) => {
  if (res.headersSent) next(error)
  else res.status(error.status ?? 500).json({ error: error.code ?? error.message })
}

/** The session's data, as JSON has them, without the cookie. */
export function dataOf(request: Request): unknown {
  if (!shown(request)) return null
  const { cookie: _, ...data } = JSON.parse(JSON.stringify(shown(request))) as Fields
  return data
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The application, on either middleware. */
export function shop(module: ExpressModule, middleware: RequestHandler): Express {
  const passport = new Passport()
  passport.use(
    new Strategy((name, password, done) => done(null, password === 'pw' && { id: name }, { message: `not ${name}` })),
  )
  passport.serializeUser((user, done) => done(null, (user as { id: string }).id))
  passport.deserializeUser((id: string, done) => done(null, id === 'nobody' ? false : { id }))

  const app = module()
  app.set('env', 'test') // finalhandler prints otherwise
  app.use(middleware, passport.initialize(), passport.session(), flash())
  const get = (path: string, handler: RequestHandler): void => void app.get(path, handler)

  get('/show', (req, res) => void res.json({ data: dataOf(req), user: req.user ?? null, is: req.isAuthenticated() }))
  get('/views', (req, res) => {
    const session = shown(req)
    session['views'] = Number(session['views'] ?? 0) + 1
    res.json({ views: session['views'] })
  })
  get('/set', (req, res) => {
    shown(req)[text(req.query['name'])] = req.query['value']
    res.json({ has: text(req.query['name']) in shown(req) })
  })
  get('/delete', (req, res) => {
    const name = text(req.query['name'])
    res.json({ deleted: delete shown(req)[name], left: Object.keys(shown(req)).toSorted(), has: name in shown(req) })
  })
  get('/cart', (req, res) => {
    const cart = (shown(req)['cart'] ??= { items: [] }) as { items: unknown[] }
    res.json({ length: cart.items.push(req.query['item']), again: shown(req)['cart'] })
  })
  get('/login', (req, res, next) => {
    const keepSessionInfo = req.query['keep'] === 'yes'
    const failure = { failureMessage: true, failureFlash: true, failureRedirect: '/show' }
    const options = { successRedirect: '/show', successMessage: 'welcome', ...failure, keepSessionInfo }
    ;(passport.authenticate('local', options) as RequestHandler)(req, res, next)
  })
  get('/logout', (req, res, next) => {
    req.logout({ keepSessionInfo: req.query['keep'] === 'yes' }, (error: unknown) => {
      if (error) next(error)
      else res.redirect('/show')
    })
  })
  get('/flash', (req, res) => void res.json({ count: req.flash('info', text(req.query['message'])) }))
  get('/flashes', (req, res) => void res.json({ info: req.flash('info'), all: req.flash() }))
  get('/regenerate', (req, res, next) => {
    const before = shown(req)
    before['unsaved'] = true
    before.regenerate((error) => {
      if (error) return next(error)
      const isNew = shown(req) !== before && shown(req).id !== before.id
      if (req.query['value'] !== '') shown(req)['fresh'] = req.query['value']
      res.json({ isNew, before: before['unsaved'], after: dataOf(req) })
    })
  })
  get('/reload', (req, res) => {
    shown(req)['unsaved'] = true
    shown(req).reload((error) => {
      // There it fails for who has no session yet; here he has nothing.
      if (error) delete shown(req)['unsaved']
      res.json({ data: dataOf(req) })
    })
  })
  get('/destroy', (req, res, next) => {
    shown(req).destroy((error) => {
      if (error) next(error)
      else res.json({ data: dataOf(req) })
    })
  })
  get('/unset', (req, res) => {
    Object.assign(req, { session: null })
    res.json({ data: dataOf(req) })
  })
  get('/save', (req, res, next) => {
    shown(req)['saved'] = req.query['value']
    shown(req).save((error) => {
      if (error) next(error)
      else res.redirect('/show')
    })
  })
  get('/fail', (req) => {
    shown(req)['failed'] = true
    throw new Error('failed on purpose')
  })
  get('/names', (req, res) => {
    const names: string[] = []
    for (const name in shown(req)) names.push(name)
    const { cookie, ...rest } = shown(req)
    res.json({
      names: names.toSorted(),
      entries: Object.keys(rest).toSorted(),
      cookie: typeof cookie,
      own: Object.hasOwn(shown(req), 'views'),
    })
  })
  app.use(answerError)
  return app
}

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { after, before, describe, test, type TestContext } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { withSession } from '../../src/adapters/node.ts'
import { createTestSessions } from '../../src/testing/index.ts'
import { serveSockets } from '../adapters/support/sockets.ts'
import { portOf } from '../support/ports.ts'
import { findProgram, needs } from '../support/programs.ts'

describe('WebSockets in Chromium', { skip: needs('chromium') }, () => {
  let browser: Browser
  before(async () => {
    const executablePath = findProgram('chromium') ?? ''
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] })
  })
  after(() => browser?.close())

  test('a page takes the token that its upgrade hands out, and hears why its socket closed', async (t) => {
    const sessions = createTestSessions({ initial: () => ({}), rotateEvery: '10m' })
    const { page, port } = await login(t, browser, sessions)
    const before = await tokenOf(page)
    sessions.clock.advance('11m')
    assert.equal(await page.evaluate(openSocket, port), 'open')
    const after = await tokenOf(page)
    assert.notEqual(after, before)
    await page.goto(`http://localhost:${port}/`)
    assert.equal(await tokenOf(page), after)
    assert.equal(sessions.stats().events['stolen'], undefined)
    const end = page.evaluate(async (socketPort) => {
      const socket = new WebSocket(`ws://localhost:${socketPort}/live`)
      return new Promise((resolve) => {
        socket.addEventListener('open', () => void fetch('/logout'))
        socket.addEventListener('close', ({ code, reason }) => resolve([code, reason]))
      })
    }, port)
    assert.deepEqual(await end, [4401, 'logout'])
  })

  test('a page of another origin, though of the same site, whose sockets carry the cookie, is refused', async (t) => {
    const sessions = createTestSessions({ initial: () => ({}) })
    const { page, port } = await login(t, browser, sessions)
    const other = await listen(
      t,
      createServer((_, response) => void response.end('another')),
    )
    await page.goto(`http://localhost:${other}/`)
    assert.equal(await page.evaluate(openSocket, port), 'refused')
    await page.goto(`http://localhost:${port}/`)
    assert.equal(await page.evaluate(openSocket, port), 'open')
  })
})

/** Runs in the page. */
function openSocket(port: number): Promise<string> {
  const socket = new WebSocket(`ws://localhost:${port}/live`)
  return new Promise((resolve) => {
    socket.addEventListener('open', () => resolve('open'))
    socket.addEventListener('error', () => resolve('refused'))
  })
}

async function login(
  t: TestContext,
  browser: Browser,
  sessions: ReturnType<typeof createTestSessions<object>>,
): Promise<{ page: Page; port: number }> {
  const server = createServer(
    withSession(sessions, async (request, response) => {
      if (request.url === '/login') await sessions.of(request).login('ada')
      if (request.url === '/logout') await sessions.of(request).logout()
      response.end('own')
    }),
  )
  const { port } = await serveSockets(t, sessions, {}, server)
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(`http://localhost:${port}/login`)
  return { page, port }
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return portOf(server)
}

async function tokenOf(page: Page): Promise<string | undefined> {
  return (await page.context().cookies()).find(({ name }) => name === '__Host-sid')?.value
}

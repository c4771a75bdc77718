import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createVisitor } from './jar.ts'
import { portOf } from './ports.ts'

test('a visitor keeps Secure and __Host- cookies over plain http, and sends them to every port', async () => {
  await using one = await serve()
  await using two = await serve()
  const visitor = createVisitor()
  const answer = await visitor.fetch(`${one.url}/set`)
  assert.deepEqual(answer.headers.getSetCookie(), ['__Host-sid=a; Path=/; Secure; HttpOnly', 'deep=b; Path=/deep'])
  assert.equal(await visitor.cookie('__Host-sid'), 'a')
  assert.equal((await visitor.cookies('/deep')).length, 2)
  assert.deepEqual(await (await visitor.fetch(`${two.url}/echo`)).json(), { method: 'GET', cookie: '__Host-sid=a' })
})

test('a visitor ignores what a browser ignores, and forgets what has expired', async () => {
  const visitor = createVisitor()
  await visitor.setCookie('__Host-sid=a; Path=/; Secure; Domain=localhost')
  await visitor.setCookie('sid=a; Domain=example.org')
  await visitor.setCookie('sid=b; Path=/')
  assert.deepEqual((await visitor.cookies()).map(String), ['sid=b; Path=/'])
  await visitor.setCookie('sid=; Path=/; Max-Age=0')
  assert.deepEqual(await visitor.cookies(), [])

  const plain = createVisitor({ origin: 'http://shop.example' })
  await plain.setCookie('sid=a; Secure')
  assert.deepEqual(await plain.cookies(), [])
})

test('a visitor follows redirects only when asked, with the cookies set on the way', async () => {
  await using server = await serve()
  const visitor = createVisitor()
  const request = { method: 'POST', body: 'name=value', redirect: 'manual' } as const
  assert.equal((await visitor.fetch(`${server.url}/login`, request)).status, 303)
  const answer = await visitor.fetch(`${server.url}/login`, { ...request, redirect: 'follow' })
  assert.deepEqual(await answer.json(), { method: 'GET', cookie: 'sid=user' })
})

test('an answer can be lost, and a thief can take the cookies', async () => {
  await using server = await serve()
  const visitor = createVisitor()
  await visitor.fetch(`${server.url}/set`, { keepCookies: false })
  assert.deepEqual(await visitor.cookies(), [])
  await visitor.fetch(`${server.url}/set`)
  const thief = await visitor.clone()
  await visitor.jar.removeAllCookies()
  assert.equal(await thief.cookie('__Host-sid'), 'a')
})

test('a request can be aborted', async () => {
  await using server = await serve()
  const controller = new AbortController()
  const answer = createVisitor().fetch(`${server.url}/never`, { signal: controller.signal })
  await server.asked('/never')
  controller.abort()
  await assert.rejects(answer, { name: 'AbortError' })
})

interface TestServer extends AsyncDisposable {
  url: string
  asked(path: string): Promise<void>
}

async function serve(): Promise<TestServer> {
  const server = createServer((request, response) => {
    answer(request, response)
    server.emit(`asked ${request.url}`)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    asked: async (path) => void (await once(server, `asked ${path}`)),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function answer({ url, method, headers }: IncomingMessage, response: ServerResponse): void {
  if (url === '/never') return
  if (url === '/set') response.setHeader('set-cookie', ['__Host-sid=a; Path=/; Secure; HttpOnly', 'deep=b; Path=/deep'])
  if (url === '/login') response.writeHead(303, { location: '/echo', 'set-cookie': 'sid=user; Path=/' })
  response.end(JSON.stringify({ method, cookie: headers.cookie }))
}

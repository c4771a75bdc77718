import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStage } from './support/stage.ts'
import { createTestStore } from './support/store.ts'

test('a fetch-style handler is served by open and commit alone', async () => {
  const { sessions } = createStage(createTestStore())

  async function handle(request: Request): Promise<Response> {
    const session = await sessions.open(request)
    assert.equal(sessions.of(request), session)
    session.data.views += 1
    const response = Response.json({ views: session.data.views })
    for (const [name, value] of await sessions.commit(session)) response.headers.append(name, value)
    return response
  }

  const first = await handle(new Request('https://localhost/'))
  const cookies = first.headers.getSetCookie()
  assert.deepEqual(await first.json(), { views: 1 })
  assert.equal(cookies.length, 2)
  const cookie = cookies.map((line) => line.slice(0, line.indexOf(';'))).join('; ')
  const second = await handle(new Request('https://localhost/', { headers: { cookie } }))
  assert.deepEqual(await second.json(), { views: 2 })
})

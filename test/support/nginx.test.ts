import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startNginx } from './nginx.ts'
import { needs } from './programs.ts'

describe('an nginx of the test', { skip: needs('nginx') }, () => {
  test('serves on the ports that its configuration was given, and is gone when it was stopped', async () => {
    const nginx = await startNginx({
      ports: 2,
      http: ({ ports }) => `
        server { listen 127.0.0.1:${ports[0]}; location / { proxy_pass http://127.0.0.1:${ports[1]}; } }
        server { listen 127.0.0.1:${ports[1]}; location / { return 200 'from the server behind'; } }`,
    })
    assert.equal(await (await fetch(nginx.url)).text(), 'from the server behind')
    await nginx.stop()
    assert.throws(() => process.kill(nginx.pid, 0), { code: 'ESRCH' })
    await assert.rejects(fetch(nginx.url))
  })

  test('rejects with what nginx says of a wrong configuration', async () => {
    await assert.rejects(startNginx({ http: () => 'nonsense;' }), /unknown directive "nonsense"/)
  })
})

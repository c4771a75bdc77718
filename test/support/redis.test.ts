import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createClient } from 'redis'
import { needs } from './programs.ts'
import { askRedis, startRedis } from './redis.ts'

describe('a redis-server of the test', { skip: needs('redis-server') }, () => {
  test('answers, is gone after a kill with what it held, and comes back on its port', async () => {
    await using redis = await startRedis()
    const { pid } = redis
    assert.equal(await askRedis(redis.port, 'SET', 'name', 'value'), 'OK')

    await redis.kill()
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    await assert.rejects(askRedis(redis.port, 'PING'))

    await redis.restart()
    assert.notEqual(redis.pid, pid)
    assert.equal(await askRedis(redis.port, 'GET', 'name'), null)
  })

  test('keeps what it held where it is told to persist', async () => {
    await using redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    await askRedis(redis.port, 'SET', 'name', 'value')
    await redis.restart()
    assert.equal(await askRedis(redis.port, 'GET', 'name'), 'value')
  })

  test('answers nothing while it is paused, and everything afterwards', async () => {
    await using redis = await startRedis()
    const client = await createClient({ url: redis.url }).connect()
    const seen: string[] = []
    redis.pause()
    const answer = client.ping().then(() => seen.push('answer'))
    // Time enough for many answers: another server starts and answers.
    await using other = await startRedis()
    await askRedis(other.port, 'PING')
    seen.push('resumed')
    redis.resume()
    await answer
    assert.deepEqual(seen, ['resumed', 'answer'])
    client.destroy()
  })

  test('is gone when it was stopped, even paused, and its folder with it', async () => {
    const redis = await startRedis()
    const folder = await askRedis(redis.port, 'CONFIG', 'GET', 'dir')
    const path = Array.isArray(folder) ? String(folder[1]) : ''
    assert.equal(existsSync(path), true)
    redis.pause()
    await redis.stop()
    await redis.stop()
    assert.throws(() => process.kill(redis.pid, 0), { code: 'ESRCH' })
    assert.equal(existsSync(path), false)
  })

  test('rejects with what it logged where its port is in use', async () => {
    await using redis = await startRedis()
    await assert.rejects(startRedis({ port: redis.port }), /Address already in use/)
  })
})

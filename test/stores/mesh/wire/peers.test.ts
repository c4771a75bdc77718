import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress, parseAddress } from '../../../../src/stores/mesh/wire/address.ts'
import { findOwnAddress } from '../../../../src/stores/mesh/wire/own-address.ts'
import { type PeersOption, type PeersWatchOptions, watchPeers } from '../../../../src/stores/mesh/wire/peers.ts'

interface Watched extends Disposable {
  readonly lists: (readonly string[])[]
  readonly log: object[]
  first(): Promise<void>
  refresh(): Promise<void>
}

function watch(peers: PeersOption, more: Partial<PeersWatchOptions> = {}): Watched {
  const lists: (readonly string[])[] = []
  const log: object[] = []
  const add = (facts: object): void => void log.push(facts)
  const logger = { info: add, warn: add, error: add }
  const { first, refresh, close } = watchPeers({
    peers,
    logger,
    onPeers: (addresses) => lists.push(addresses),
    ...more,
  })
  return { lists, log, first, refresh, [Symbol.dispose]: close }
}

suite('peers', () => {
  test('of a list are told once', async () => {
    using watched = watch(['10.0.0.2:7373', '[::1]:7373', '10.0.0.2:7373'])
    await watched.refresh()
    await watched.refresh()
    assert.deepEqual(watched.lists, [['10.0.0.2:7373', '[::1]:7373']])
  })

  test('of a name are resolved again, and told when they differ; their order is no difference', async () => {
    let addresses = ['10.0.0.2', '10.0.0.1']
    const names: string[] = []
    using watched = watch(
      { dns: 'web-headless', port: 7373 },
      {
        resolve: async (name) => {
          names.push(name)
          return addresses
        },
      },
    )
    await watched.refresh()
    addresses = ['10.0.0.1', '10.0.0.2']
    await watched.refresh()
    addresses = ['10.0.0.3', 'fd00::1']
    await watched.refresh()
    assert.deepEqual(names, ['web-headless', 'web-headless', 'web-headless'])
    assert.deepEqual(watched.lists, [
      ['10.0.0.1:7373', '10.0.0.2:7373'],
      ['10.0.0.3:7373', '[fd00::1]:7373'],
    ])
  })

  test('of a name are resolved by the system, by itself, from time to time', async () => {
    const seen = Promise.withResolvers<readonly string[]>()
    const logger = { info() {}, warn() {}, error() {} }
    const watching = watchPeers({ peers: { dns: 'localhost', port: 1 }, logger, onPeers: seen.resolve, everyMs: 1 })
    const keepAlive = setInterval(() => {}, 1_000)
    const addresses = await seen.promise
    clearInterval(keepAlive)
    watching.close()
    assert.ok(addresses.every((address) => ['127.0.0.1:1', '[::1]:1'].includes(address)) && addresses.length > 0)
  })

  test('stay while the resolver fails, answers nothing within its time, or answers nonsense', async () => {
    const answers: (() => unknown)[] = [
      () => ['a:1'],
      () => Promise.reject(new Error('ENOTFOUND')),
      () => new Promise(() => {}),
      () => 'a:2',
      () => ['b:2', 'no address', 3, 'c:99999'],
    ]
    const ask = (() => answers.shift()?.()) as () => readonly string[]
    using watched = watch(ask, { deadlineMs: 20 })
    const keepAlive = setInterval(() => {}, 1_000)
    for (let left = answers.length; left > 0; left--) await watched.refresh()
    clearInterval(keepAlive)
    assert.deepEqual(watched.lists, [['a:1'], ['b:2']])
    assert.equal(watched.log.length, 2)
  })

  test('of a function that never answers are asked for twice at most, until it answers', async () => {
    const questions: PromiseWithResolvers<string[]>[] = []
    using watched = watch(
      () => {
        const question = Promise.withResolvers<string[]>()
        questions.push(question)
        return question.promise
      },
      { deadlineMs: 5 },
    )
    const keepAlive = setInterval(() => {}, 1_000)
    for (let asked = 0; asked < 5; asked++) await watched.refresh()
    assert.equal(questions.length, 2)
    questions[0]?.resolve(['late:1'])
    await new Promise(setImmediate)
    await watched.refresh()
    clearInterval(keepAlive)
    assert.equal(questions.length, 3)
    assert.deepEqual(watched.lists, [])
  })

  test('are waited for by a node that starts, as long as asking fails at first', async () => {
    let asked = 0
    using watched = watch(() => (++asked < 2 ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(['a:1'])))
    await watched.first()
    assert.deepEqual(watched.lists, [['a:1']])
  })

  test('are waited for no longer than the deadline', async () => {
    using throwing = watch(
      () => {
        throw new Error('on purpose')
      },
      { deadlineMs: 20 },
    )
    await throwing.first()
    using hanging = watch(() => new Promise(() => {}), { deadlineMs: 20 })
    await hanging.first()
    assert.deepEqual([throwing.lists, hanging.lists, throwing.log.length, hanging.log.length], [[], [], 1, 1])
  })

  test('are not told after closing', async () => {
    const answer = Promise.withResolvers<string[]>()
    const watched = watch(() => answer.promise)
    const refreshed = watched.refresh()
    watched[Symbol.dispose]()
    answer.resolve(['a:1'])
    await refreshed
    assert.deepEqual(watched.lists, [])
  })

  test('that are no host:port are an error at once', () => {
    for (const peers of [
      ['localhost'],
      ['http://a:1'],
      ['a:0'],
      ['a:65536'],
      ['::1:7373'],
      ['a b:1'],
      { dns: 'a/b', port: 1 },
      { dns: 'a', port: 0 },
    ]) {
      assert.throws(() => watch(peers), TypeError, JSON.stringify(peers))
    }
  })
})

test('an address is read and written back', () => {
  for (const address of ['localhost:1', '10.0.0.1:7373', '[::1]:65535', 'web-0.web.default.svc:7373']) {
    const parsed = parseAddress(address)
    assert.ok(parsed)
    assert.equal(formatAddress(parsed), address)
  }
})

suite('the own address of a node that was not told it', () => {
  const hosts = [host('127.0.0.1', true), host('fe80::1'), host('fd00::5'), host('10.0.0.5'), host('192.168.1.5')]
  const everywhere = { host: '0.0.0.0', port: 7373 }

  test('is where it listens, where that is one address', () => {
    assert.equal(findOwnAddress({ host: '10.9.9.9', port: 1 }, [], hosts), '10.9.9.9:1')
    assert.equal(findOwnAddress({ host: '::1', port: 1 }, [], hosts), '[::1]:1')
  })

  test('is the one of the machine that the others know it by', () => {
    const peers = ['10.0.0.4:7373', 'web-1:7373', '192.168.1.5:7373']
    assert.equal(findOwnAddress(everywhere, peers, hosts), '192.168.1.5:7373')
    assert.equal(findOwnAddress(everywhere, ['127.0.0.1:7374', '127.0.0.1:7373'], hosts), '127.0.0.1:7373')
    assert.equal(findOwnAddress({ host: '::', port: 7373 }, ['[fd00::5]:7373'], hosts), '[fd00::5]:7373')
  })

  test('is else the first that other machines reach', () => {
    assert.equal(findOwnAddress(everywhere, ['192.168.1.5:7000'], hosts), '10.0.0.5:7373')
    assert.equal(findOwnAddress(everywhere, [], hosts.slice(0, 3)), '[fd00::5]:7373')
    assert.equal(findOwnAddress(everywhere, [], hosts.slice(0, 2)), '127.0.0.1:7373')
  })
})

function host(address: string, internal = false): { address: string; internal: boolean; family: string } {
  return { address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

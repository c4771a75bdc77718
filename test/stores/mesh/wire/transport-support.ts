/** Real transports on 127.0.0.1, and what they called back and logged. */

import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { PeerRefusal } from '../../../../src/core/index.ts'
import type { Member, Message, NodeId } from '../../../../src/stores/mesh/protocol/messages.ts'
import type { UserMessage } from '../../../../src/stores/mesh/users/messages.ts'
import type { HostAndPort } from '../../../../src/stores/mesh/wire/address.ts'
import { presharedSecurity } from '../../../../src/stores/mesh/wire/security.ts'
import { createTransport, type Transport, type TransportOptions } from '../../../../src/stores/mesh/wire/transport.ts'
import { createKeyRing } from '../../../../src/token/index.ts'

export const oldSecret = 'oldest-Zq83hdyWmPl20xkVbn5TaRcEjf61uGi9'
export const newSecret = 'newest-Lr47bskXvNj95wmYcd2FqTpHaz08eOu3'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly reason?: string
  readonly code?: string
  readonly [fact: string]: unknown
}

export interface TestNode extends AsyncDisposable {
  readonly id: NodeId
  /** Where it listens. */
  readonly port: number
  readonly address: string
  readonly transport: Transport
  /** `connected id`, `disconnected id`, `dead id`, in their order. */
  readonly events: readonly string[]
  readonly received: readonly { readonly from: NodeId; readonly message: Message | UserMessage }[]
  readonly log: readonly LogLine[]
  readonly refusals: readonly PeerRefusal[]
  /** Resolves when it holds; looks again after each event, message and line. */
  until(condition: () => boolean): Promise<void>
}

export interface TestNodeOptions extends Partial<Pick<TransportOptions, 'limits' | 'security'>> {
  secrets?: string | string[]
  id?: NodeId
  /** What it says of its address; by default where it listens. */
  address?: string
  clockAheadMs?: number
  /** Default: any port of 127.0.0.1. */
  listen?: HostAndPort
  onMessage?: (from: NodeId, message: Message | UserMessage) => void
}

export async function startNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const { secrets = oldSecret, id = randomBytes(8).toString('base64url'), clockAheadMs = 0 } = options
  const changes = new EventEmitter()
  changes.setMaxListeners(0)
  const events: string[] = []
  const received: { from: NodeId; message: Message | UserMessage }[] = []
  const log: LogLine[] = []
  const refusals: PeerRefusal[] = []
  const changed = (): void => void changes.emit('change')
  const logTo =
    (level: LogLine['level']) =>
    (facts: object, message: string): void => {
      log.push({ ...facts, level, message })
      changed()
    }
  const tell = (event: string): void => {
    events.push(event)
    changed()
  }
  let member: Member = { id, address: options.address ?? '', zone: '' }
  const transport = createTransport({
    self: () => member,
    listen: options.listen ?? { host: '127.0.0.1', port: 0 },
    security: options.security ?? presharedSecurity(createKeyRing(secrets)),
    clock: { now: () => Date.now() + clockAheadMs },
    logger: { info: logTo('info'), warn: logTo('warn'), error: logTo('error') },
    ...(options.limits ? { limits: options.limits } : {}),
    onConnected: (peer) => tell(`connected ${peer.id}`),
    onDisconnected: (peer, refused) => tell(`${refused ? 'dead' : 'disconnected'} ${peer}`),
    onMessage: (from, message) => {
      received.push({ from, message })
      options.onMessage?.(from, message)
      changed()
    },
    onRefused(refusal) {
      refusals.push(refusal)
      changed()
    },
  })
  const { host, port } = await transport.listen()
  if (options.address === undefined) member = { ...member, address: `${host}:${port}` }
  return {
    id,
    port,
    address: `${host}:${port}`,
    transport,
    events,
    received,
    log,
    refusals,
    async until(condition) {
      while (!condition()) await once(changes, 'change')
    },
    [Symbol.asyncDispose]: () => transport.close(),
  }
}

/** Both have the other. */
export async function untilConnected(...nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) {
    await node.until(() => nodes.every((other) => other === node || isConnected(node, other)))
  }
}

export function isConnected(node: TestNode, other: TestNode): boolean {
  return node.transport.peers().some(({ id }) => id === other.id)
}

/** Answers whether a message sent by one gets to the other. */
export async function reaches(from: TestNode, to: TestNode): Promise<boolean> {
  const request = to.received.length + 1_000_000
  if (!from.transport.send(to.id, { type: 'offered', request })) return false
  await to.until(() => to.received.some(({ message }) => message.type === 'offered' && message.request === request))
  return true
}

import { answerToEnd, applyChange, isTombstone } from '../../src/core/index.ts'
import type {
  Holding,
  Member,
  Message,
  NodeId,
  Operation,
  Outcome,
  View,
} from '../../src/stores/mesh/protocol/messages.ts'
import type { Effect, MeshNode, MeshNodeOptions } from '../../src/stores/mesh/protocol/node.ts'

/** What a deliberately wrong node does otherwise. */
export interface Twist {
  readonly operation?: (operation: Operation) => Operation
  readonly kept?: (holding: Holding) => Holding | 'unchanged' | undefined
  readonly outcome?: (outcome: Outcome) => Outcome[]
}

/**
 * A node without replication, to test the simulator: the lowest address among those that are connected owns every key.
 * While nothing fails it keeps the laws, and with every fault it breaks one.
 */
export function createMeshNode(_nowMs: number, { self, records }: MeshNodeOptions, twist: Twist = {}): MeshNode {
  const peers = new Map<NodeId, Member>()
  const waiting = new Map<number, Operation>()
  let owner: NodeId | undefined

  const currentView = (): View => {
    const members = [self, ...peers.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const first = members.toSorted((a, b) => (a.address < b.address ? -1 : 1))[0] as Member
    return {
      ballot: { number: 1, id: first.id },
      incarnation: 1,
      members,
      leaving: [],
      previous: null,
      placements: [],
      losses: [],
    }
  }
  const settle = (): Effect[] => {
    const { id } = currentView().ballot
    if (id === owner) return []
    owner = id
    return [
      { kind: 'event', name: 'view', view: currentView() },
      ...[...waiting].flatMap(([request, operation]) => ask(request, operation)),
    ]
  }
  const ask = (request: number, operation: Operation): Effect[] => {
    const to = currentView().ballot.id
    if (to !== self.id) {
      return [{ kind: 'send', to, message: { type: 'ask', view: currentView().ballot, request, operation } }]
    }
    waiting.delete(request)
    const outcome = decide(operation)
    const outcomes = twist.outcome?.(outcome) ?? [outcome]
    return outcomes.map((outcome) => ({ kind: 'outcome', request, outcome }))
  }
  const keep = (key: string, holding: Holding): void => {
    const kept = twist.kept ? twist.kept(holding) : holding
    if (kept === 'unchanged') return
    if (kept) records.set(key, kept)
    else records.delete(key)
  }
  const decide = (asked: Operation): Outcome => {
    const operation = twist.operation?.(asked) ?? asked
    const held = records.get(operation.key)
    const isEnded = held !== undefined && isTombstone(held)
    const record = held && !isTombstone(held) ? held : undefined
    if (operation.kind === 'read') return { kind: 'read', record }
    if (operation.kind === 'install') return { kind: 'install' }
    if (operation.kind === 'end') {
      const result = answerToEnd(record, operation.end)
      if (result !== 'superseded') keep(operation.key, operation.end)
      return { kind: 'end', result }
    }
    const { result, record: next } = applyChange(record, isEnded, operation.change)
    if (next) keep(operation.key, next)
    return { kind: 'apply', result }
  }

  return {
    get view() {
      return currentView()
    },
    whereabouts: undefined,
    isServing: () => true,
    connected(_now, peer) {
      peers.set(peer.id, peer)
      return settle()
    },
    disconnected(_now, peer) {
      peers.delete(peer)
      return settle()
    },
    receive(_now, from, message: Message) {
      if (message.type === 'ask') {
        const outcome = decide(message.operation)
        return [{ kind: 'send', to: from, message: { type: 'answer', request: message.request, outcome } }]
      }
      if (message.type !== 'answer' || !waiting.delete(message.request)) return []
      return [{ kind: 'outcome', request: message.request, outcome: message.outcome }]
    },
    request(_now, request, operation) {
      waiting.set(request, operation)
      return ask(request, operation)
    },
    giveUp: (request) => void waiting.delete(request),
    tick: () => [],
    leave: () => [{ kind: 'event', name: 'left', view: currentView() }],
  }
}

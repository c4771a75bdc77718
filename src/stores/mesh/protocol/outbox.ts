import type { Message, NodeId, Outcome, View } from './messages.ts'
import type { Effect } from './node.ts'

/** Collects what a node wants done during one call. */
export class Outbox {
  #effects: Effect[] = []

  send(to: NodeId, message: Message): void {
    this.#effects.push({ kind: 'send', to, message })
  }

  outcome(request: number, outcome: Outcome): void {
    this.#effects.push({ kind: 'outcome', request, outcome })
  }

  event(name: Extract<Effect, { kind: 'event' }>['name'], view: View): void {
    this.#effects.push({ kind: 'event', name, view })
  }

  take(): Effect[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }
}

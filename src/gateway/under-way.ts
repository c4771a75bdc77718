/** How many requests are under way at each server. */
export class UnderWay {
  readonly #counts = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()

  begin(server: string): void {
    this.#counts.set(server, (this.#counts.get(server) ?? 0) + 1)
  }

  end(server: string): void {
    const count = (this.#counts.get(server) ?? 0) - 1
    this.#counts.set(server, count)
    if (count > 0) return
    for (const resolve of this.#waiting.get(server) ?? []) resolve()
    this.#waiting.delete(server)
  }

  /** Resolves when a server has no request, or at the deadline. */
  async none(server: string, deadlineMs: number): Promise<void> {
    if ((this.#counts.get(server) ?? 0) === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(server, [...(this.#waiting.get(server) ?? []), resolve])
    const timer = setTimeout(resolve, deadlineMs)
    await promise
    clearTimeout(timer)
  }
}

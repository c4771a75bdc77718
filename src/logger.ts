import type { Logger } from './core/index.ts'

const SAME_LINE_EVERY_MS = 60_000

/** The console, at most one line a minute for each message, with the number of those left out. */
export function createConsoleLogger(): Logger {
  const lines = new Map<string, { at: number; leftOut: number }>()
  const write = (method: 'info' | 'warn' | 'error') => (facts: object, message: string) => {
    const now = performance.now()
    const last = lines.get(message)
    if (last && now - last.at < SAME_LINE_EVERY_MS) return void (last.leftOut += 1)
    const repeated = last?.leftOut ? { repeated: last.leftOut } : {}
    lines.set(message, { at: now, leftOut: 0 })
    return console[method](`sojourn: ${message}`, { ...facts, ...repeated })
  }
  return { info: write('info'), warn: write('warn'), error: write('error') }
}

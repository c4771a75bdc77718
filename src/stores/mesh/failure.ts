import { StoreFullError, StoreUnavailableError } from '../../core/index.ts'
import type { Outcome } from './protocol/messages.ts'

const CANNOT_LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another process has this port (perhaps this application, started twice); end it, or give meshStore another `listen: { port }`',
  EADDRNOTAVAIL: 'this machine has no such address; give meshStore a `listen: { host }` that it has, such as 0.0.0.0',
  EACCES: 'this user may not; give meshStore a `listen: { port }` above 1023',
}

/** @throws what the outcome of an operation means where it is no answer */
export function unexpected(outcome: Outcome): never {
  if (outcome.kind === 'full')
    throw new StoreFullError(
      'the nodes of the mesh that would hold this session have no room for more; raise maxSessions or maxBytes, or add nodes',
    )
  const why =
    outcome.kind === 'underReplicated'
      ? 'fewer copies than minCopies are alive'
      : 'its owner could not be asked in time; another node may be failing'
  throw new StoreUnavailableError(`the mesh did not carry it out: ${why}`)
}

export function closedError(): StoreUnavailableError {
  return new StoreUnavailableError('this node of the mesh is closed')
}

export function cannotListen(
  { host, port }: { readonly host: string; readonly port: number },
  cause: unknown,
): StoreUnavailableError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const why = CANNOT_LISTEN[code] ?? String(cause)
  return new StoreUnavailableError(`the mesh cannot listen on ${host}:${port}: ${why}`, { cause })
}

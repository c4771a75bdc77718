/** One server of an upstream, with the parameters that nginx's `server` line has. */
export interface AffinityServer {
  /** Unique name, by which {@link Affinity.setDown} and logs know the server. */
  readonly name: string

  /** Share of the clients, a whole number of at least 1. Default: `1`. */
  readonly weight?: number

  /** Marked as permanently unavailable. It still counts in the hash, so that the others keep their clients. Default: `false`. */
  readonly down?: boolean

  /** Failures after which the server is left alone for `failTimeout`; `0` never leaves it alone. Default: `1`. */
  readonly maxFails?: number

  /** How long a failed server is left alone, in ms; whole seconds, as nginx counts them. Default: `10_000`. */
  readonly failTimeout?: number
}

/** Options of every affinity. */
export interface AffinityOptions {
  /** The time in ms, of any origin; it should never go back. Default: the monotonic `performance.now()`. */
  readonly now?: () => number
}

/** The headers of a request as Node has them: names in lower case, the lines of `Cookie` joined. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * The servers that one request may try, in order. Call {@link AffinityWalk.next}, try the server, report
 * how that went, and call it again after a failure. Every server is offered at most once.
 */
export interface AffinityWalk<S extends AffinityServer = AffinityServer> {
  /** The next server to try; `undefined` when none is left. Throws when the outcome of the last one was not reported. */
  next(): S | undefined

  /** The server offered last could not serve the request: refused, timed out, or closed before it answered. */
  failed(): void

  /** The request ended without a fault of the server offered last, whatever its status and even if the client left. */
  succeeded(): void
}

/**
 * Decides which server serves which client, and remembers which servers failed. {@link ipHash},
 * {@link roundRobin} and {@link ownerAffinity} make one, and `sojourn/gateway` accepts any.
 */
export interface Affinity<S extends AffinityServer = AffinityServer> {
  /** The servers, in the order of the configuration. */
  readonly servers: readonly S[]

  /**
   * The server of a client, for one request that succeeds; `undefined` when every server is down or failed.
   *
   * @param headers the request's, for an affinity that looks at them
   */
  choose(clientIp: string, headers?: RequestHeaders): S | undefined

  /** Begins one request, which may try several servers. The parameters are those of {@link Affinity.choose}. */
  begin(clientIp: string, headers?: RequestHeaders): AffinityWalk<S>

  /** Takes a server out (or back in) for requests that begin later; the hash still counts it. Throws for an unknown name. */
  setDown(name: string, down: boolean): void
}

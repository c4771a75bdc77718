/** What the rows of the replication benchmark ask of a fleet, whoever's it is. */

/** One server under measurement. */
export interface FleetNode {
  readonly url: string
  readonly pid: number
  /** Payload bytes on the connections to its replication port so far, both ways: changes, acknowledgements, TLS. */
  bytes(): number
  /** What it holds after a full collection: the used heap, and for ours the buffers outside it. */
  heldBytes(): Promise<number>
  /** SIGKILL; resolves when its pid is gone. */
  kill(): Promise<void>
  /** Ends it as an operator would, so that it may hand over. */
  leave(): Promise<void>
}

/** Servers that share sessions. Leaving an `await using` block ends them. */
export interface Fleet extends AsyncDisposable {
  readonly isOurs: boolean
  readonly nodes: readonly FleetNode[]
  /** Nodes that are given each change of a session. */
  readonly receivers: number
  /** Starts one more, at the place of the last that left or after the others; resolves when it answers requests. */
  add(): Promise<FleetNode>
  /** The nodes that hold a session, its owner first, where placement says so; else all. */
  holders(session: string): readonly FleetNode[]
}

export interface FleetOptions {
  readonly nodes: number
  /** Nodes that may be added later; a static list of members has them from the start. */
  readonly spares: number
  /** Counts the bytes between nodes, which costs time: not for what measures processor time. */
  readonly isProxied: boolean
}

/** How a fleet is started. */
export interface FleetKind {
  readonly name: string
  readonly isOurs: boolean
  start(options: FleetOptions): Promise<Fleet>
}

/** Bytes on all connections between the nodes. */
export function bytesBetween({ nodes }: Fleet): number {
  return nodes.reduce((sum, node) => sum + node.bytes(), 0)
}

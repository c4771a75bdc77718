/**
 * Sessions that the servers replicate among themselves: nothing beside the application.
 *
 * Exported from `sojourn/mesh`.
 *
 * @module
 */
import type { StoreDefinition } from '../../core/index.ts'
import { type MeshStoreOptions, toMeshPolicy } from './policy.ts'
import { MeshStore } from './store.ts'

export type { MeshCertificates, MeshPeers, MeshStoreOptions } from './policy.ts'

/**
 * Sessions replicated between the nodes of the fleet, over TLS 1.3 with keys of the secret or with certificates. The protocol is
 * `docs/design/mesh.md`.
 *
 * @throws TypeError when an option does not fit
 */
export function meshStore(options: MeshStoreOptions): StoreDefinition {
  const policy = toMeshPolicy(options)
  return {
    name: 'mesh',
    open(context) {
      if (!Number.isFinite(context.absoluteTimeoutMs)) {
        throw new TypeError('meshStore needs a finite absoluteTimeout: it says how long an end has to be remembered')
      }
      return new MeshStore(context, policy)
    },
  }
}

import { hkdfSync, X509Certificate } from 'node:crypto'
import { type ConnectionOptions, createSecureContext, type TLSSocket, type TlsOptions } from 'node:tls'
import type { KeyRing, SecretKeys } from '../../../token/index.ts'

/** How the nodes of a fleet know each other. */
export interface WireSecurity {
  /** Options of the server, which takes every peer that it should. */
  readonly server: TlsOptions
  /** Options of a client, in the order in which they are tried on a server that refused the one before. */
  readonly clients: readonly ConnectionOptions[]
  /** Whether a connection that stands was secured as it should be. */
  isSecure(socket: TLSSocket): boolean
}

/**
 * The two suites of TLS 1.3 whose hash, SHA-256, is that of a pre-shared key in Node. Both sides add a fresh key exchange, so
 * that a secret that leaks later opens nothing that was recorded.
 */
const PROTOCOL = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const

/**
 * Pre-shared keys from the fleet's secrets, and nothing else: a peer without one of them gets no byte beyond a TLS alert.
 *
 * A client shows which key it means, so a server takes each of its secrets. A client tries its signing secret first and
 * then the others, so that a node at `[new, old]` reaches one at `[old]` too. In the lists through which a secret rolls,
 * `[old]`, `[old, new]`, `[new, old]`, `[new]`, every two neighbours share one and connect both ways.
 */
export function presharedSecurity(keyRing: KeyRing): WireSecurity {
  const keys = keyRing.all.map(toPresharedKey)
  const byIdentity = new Map(keys.map((key) => [key.identity, key.psk]))
  return {
    server: { ...PROTOCOL, pskCallback: (_, identity) => byIdentity.get(identity) ?? null },
    clients: keys.map((key) => ({
      ...PROTOCOL,
      pskCallback: () => key,
      // A server that shows a certificate instead of the secret is refused, whoever signed it and whatever the
      // environment says of certificates.
      rejectUnauthorized: true,
      checkServerIdentity: () => new Error('the server showed a certificate and not the secret'),
    })),
    // With a pre-shared key TLS 1.3 resumes a session that there never was.
    isSecure: (socket) => socket.getProtocol() === 'TLSv1.3' && socket.isSessionReused(),
  }
}

/** A node's certificate, its key, and who signs the certificates of the fleet; PEM. */
export interface MeshCertificates {
  readonly cert: string | Buffer
  readonly key: string | Buffer
  readonly ca: string | Buffer | readonly (string | Buffer)[]
}

/**
 * Mutual certificates. Whoever has one that `ca` signed is a node: names are not looked at, since nodes come and go at
 * addresses that nobody knew when the certificate was made.
 *
 * A session of TLS that is resumed counts as verified in Node although nobody showed a certificate, and who was refused may
 * hold a ticket. So nothing that is resumed is taken.
 *
 * @throws TypeError where they are no certificate, key and authority that fit together
 */
export function certificateSecurity({ cert, key, ca }: MeshCertificates): WireSecurity {
  const shown = { cert, key, ca: [ca].flat(), minVersion: 'TLSv1.3' } as const
  try {
    createSecureContext(shown)
    shown.ca.map((authority) => new X509Certificate(authority)) // of these, Node passes over what is none
  } catch (error) {
    throw new TypeError(`meshStore: tls needs cert, key and ca, as PEM, that fit together: ${String(error)}`, {
      cause: error,
    })
  }
  return {
    // Node would cut off a client whose certificate does not hold without a word of who it was: `isSecure` does it.
    server: { ...shown, requestCert: true, rejectUnauthorized: false },
    clients: [{ ...shown, rejectUnauthorized: true, checkServerIdentity: () => undefined }],
    isSecure: (socket) =>
      socket.getProtocol() === 'TLSv1.3' &&
      socket.authorized &&
      !socket.isSessionReused() &&
      socket.getPeerX509Certificate() !== undefined,
  }
}

interface PresharedKey {
  readonly identity: string
  readonly psk: Buffer
}

/** The identity goes over the network in the clear: the key id that tokens show too, and a hash that tells two secrets apart. */
function toPresharedKey({ id, derive }: SecretKeys): PresharedKey {
  const key = derive('mesh')
  const part = (purpose: string, length: number): Buffer => Buffer.from(hkdfSync('sha256', key, '', purpose, length))
  return {
    identity: `${id.toString(16).padStart(2, '0')}-${part('mesh tls identity', 8).toString('hex')}`,
    psk: part('mesh tls psk', 32),
  }
}

/**
 * A reverse proxy that spreads clients over servers as nginx does, for development, demonstrations and tests.
 * In production use nginx, HAProxy or Envoy: this one has no TLS, no limits per client, no cache and no health checks.
 *
 * Exported from `sojourn/gateway`.
 *
 * @module
 */

export {
  createGateway,
  type Gateway,
  type GatewayCloseOptions,
  type GatewayListenOptions,
  type GatewayOptions,
  type GatewayServer,
} from './gateway.ts'
export type { GatewayChoice } from './forward.ts'

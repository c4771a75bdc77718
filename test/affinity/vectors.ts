import { readFileSync } from 'node:fs'
import type { AffinityServer } from '../../src/affinity/index.ts'

export interface VectorCase {
  clientIp?: string
  key?: string
  expected?: string | null
  tried?: string[]
  noLive?: boolean
  t?: number
  event?: 'down' | 'up'
  server?: string
}

interface VectorServer {
  addr: string
  weight: number
  down: boolean
  maxFails?: number
  failTimeoutS?: number
  unreachable?: boolean
}

export interface VectorGroup {
  id: string
  method: string
  mode: 'sequence' | 'fresh' | 'timed'
  upstream: VectorServer[]
  cases: VectorCase[]
}

export function readVectorGroups(file: string): VectorGroup[] {
  const url = new URL(`../vectors/nginx/${file}.json`, import.meta.url)
  const { groups }: { groups: VectorGroup[] } = JSON.parse(readFileSync(url, 'utf8'))
  return groups
}

export function toServers(group: VectorGroup): AffinityServer[] {
  return group.upstream.map(({ addr, weight, down, maxFails, failTimeoutS }) => ({
    name: addr,
    weight,
    down,
    ...(maxFails !== undefined && { maxFails }),
    ...(failTimeoutS !== undefined && { failTimeout: failTimeoutS * 1000 }),
  }))
}

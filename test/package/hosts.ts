/**
 * Loaded before a program (`--import`): gives names the addresses of `TEST_HOSTS`, as the DNS of a cluster does. No name
 * of a test machine has three addresses.
 */
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'

const hosts = JSON.parse(process.env['TEST_HOSTS'] ?? '{}') as Record<string, string[]>
type Callback = (error: Error | null, addresses: unknown, family?: number) => void

const lookup = dns.lookup as (name: string, options: { all?: boolean }, callback: Callback) => void
dns.lookup = ((name: string, options: { all?: boolean }, callback: Callback): void => {
  const addresses = hosts[name]
  if (!addresses) return lookup(name, options, callback)
  if (options.all) callback(null, addresses.map(toEntry))
  else callback(null, addresses[0], 4)
}) as typeof dns.lookup

const lookupAll = dns.promises.lookup as (name: string, options: object) => Promise<unknown>
dns.promises.lookup = (async (name: string, options: object) =>
  hosts[name]?.map(toEntry) ?? lookupAll(name, options)) as typeof dns.promises.lookup
syncBuiltinESMExports()

function toEntry(address: string): { address: string; family: 4 } {
  return { address, family: 4 }
}

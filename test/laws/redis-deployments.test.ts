import { all, proveInOneProcess, proveInProcesses } from './redis-proofs.ts'

if (all) {
  for (const name of ['cluster', 'sentinel'] as const) {
    for (const library of ['node-redis', 'ioredis'] as const) proveInProcesses(name, `${name} by ${library}`)
    // What connects by itself cannot be led through a proxy.
    proveInOneProcess(name, `${name} by address`)
  }
} else {
  proveInOneProcess('cluster', 'cluster by node-redis')
  proveInOneProcess('sentinel', 'sentinel by ioredis')
}

import { all, proveInOneProcess, proveInProcesses } from './redis-proofs.ts'

proveInProcesses('redis', 'redis by url')
for (const kind of ['redis by node-redis', 'redis by ioredis'] as const) {
  if (all) proveInProcesses('redis', kind)
  else proveInOneProcess('redis', kind)
}

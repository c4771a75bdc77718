/** A real nginx of the test's own, in one process, so that what it remembers of its upstreams is in one place. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeFolder, temporaryFolder } from './folders.ts'
import { startOnFreePorts } from './ports.ts'
import { startProcess } from './processes.ts'
import type { OwnedProcess } from './processes.ts'
import { program } from './programs.ts'

export interface NginxOptions {
  /** How many free ports the configuration is given. Default: 1. */
  ports?: number

  /** What stands inside `http { }`; it listens on `127.0.0.1:${ports[0]}` and may write into `folder`. */
  http: (place: NginxPlace) => string
}

/** What a configuration may use. */
export interface NginxPlace {
  /** Free ports of 127.0.0.1. */
  readonly ports: readonly number[]

  /** A temporary folder, removed on {@link Nginx.stop}. */
  readonly folder: string
}

/** A running nginx. Leaving an `await using` block stops it. */
export interface Nginx extends NginxPlace, AsyncDisposable {
  /** `http://127.0.0.1:` and the first port. */
  readonly url: string
  readonly port: number
  readonly pid: number

  /** Its error log so far, from level `notice` on. */
  readonly log: string

  /** Ends nginx at once and removes its folder; resolves when its pid is gone. Stopping twice succeeds. */
  stop(): Promise<void>
}

/** Starts nginx; resolves when it listens, rejects with what nginx says of its configuration. */
export async function startNginx({ ports: portCount = 1, http }: NginxOptions): Promise<Nginx> {
  const folder = temporaryFolder()
  const { started, ports } = await startOnFreePorts(portCount, (ports) => start(folder, http({ ports, folder })))
  const [port = 0] = ports

  async function stop(): Promise<void> {
    await started.kill()
    removeFolder(folder)
  }

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    ports,
    folder,
    pid: started.pid,
    get log() {
      return started.output
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function start(folder: string, http: string): Promise<OwnedProcess> {
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, http))
  const nginx = startProcess(program('nginx'), ['-e', 'stderr', '-p', folder, '-c', file])
  // It names the system right after it has opened its ports.
  await nginx.printed(/\[notice\].* OS: /)
  return nginx
}

function configuration(folder: string, http: string): string {
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return [
    'daemon off;',
    'master_process off;',
    `pid ${join(folder, 'nginx.pid')};`,
    'error_log stderr notice;',
    'events { worker_connections 512; }',
    'http {',
    'access_log off;',
    ...temporaryPaths.map((name) => `${name}_temp_path ${join(folder, name)};`),
    http,
    '}',
  ].join('\n')
}

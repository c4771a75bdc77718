import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'

const START_TRIES_MAX = 200

/** Why nginx cannot be tested here; `false` when it can. */
export const nginxMissing: string | false =
  spawnSync('nginx', ['-v']).error === undefined
    ? false
    : 'nginx is not installed (Debian: apt-get install nginx-light)'

/** Starts a real nginx in front of an upstream; it ends with its test. Believes X-Forwarded-For from 127.0.0.1. */
export async function startNginx(t: TestContext, upstreamLines: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sojourn-nginx-'))
  const port = await freePort()
  const config = join(folder, 'nginx.conf')
  await writeFile(config, toConfig(folder, port, upstreamLines))
  const child = spawn('nginx', ['-p', folder, '-c', config, '-e', join(folder, 'error.log')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGTERM')
    await exited
    await rm(folder, { recursive: true, force: true })
  })
  for (let index = 0; index < START_TRIES_MAX && child.exitCode === null; index += 1) {
    if (await accepts(port)) return `http://127.0.0.1:${port}`
    await setTimeout(20)
  }
  throw new Error('nginx did not start; its reason is above')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new Error('not listening on a port')
  return address.port
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

function toConfig(folder: string, port: number, upstreamLines: readonly string[]): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  return `
    daemon off;
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log ${folder}/error.log;
    events {}
    http {
      access_log off;
      ${temporary.join('\n')}
      set_real_ip_from 127.0.0.1;
      real_ip_header X-Forwarded-For;
      upstream servers { ${upstreamLines.join('\n')} }
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://servers; }
      }
    }`
}

import { type ChildProcess, execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The cores: the server has one to itself, the load and Redis share the other. */
export const SERVER_CORE = '0'
export const LOAD_CORE = '1'

/** A server under measurement. */
export interface BenchServer {
  readonly name: string
  readonly url: string
  readonly pid: number
  /** CPU time and requests since it started. */
  usage(): Promise<{ cpuUs: number; requests: number }>
  stop(): Promise<void>
}

export async function startServer(name: string, file: URL, args: readonly string[]): Promise<BenchServer> {
  const child: ChildProcess = fork(file, [name, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await pin(child.pid, SERVER_CORE)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async usage() {
      child.send('usage')
      const [usage] = (await once(child, 'message')) as [{ cpuUs: number; requests: number }]
      return usage
    },
    async stop() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

/** Pins a process to a core, with all threads that it has. */
export async function pin(pid: number | undefined, core: string): Promise<void> {
  await run('taskset', ['-a', '-c', '-p', core, String(pid)])
}

/** Cookies of so many visitors that each logged in once. */
export async function logIn(server: BenchServer, count: number): Promise<string[]> {
  const cookies: string[] = []
  for (let index = 0; index < count; index++) {
    const response = await fetch(`${server.url}/login`)
    if (!response.ok) throw new Error(`${server.name}: /login answered ${response.status}`)
    cookies.push(
      response.headers
        .getSetCookie()
        .map((line) => line.slice(0, line.indexOf(';')))
        .join('; '),
    )
  }
  return cookies
}

/** One second or more of `wrk` with 32 connections, the cookies in rotation. Resolves requests per second. */
export async function load(
  server: BenchServer,
  path: string,
  cookies: readonly string[],
  folder: string,
  seconds: number,
): Promise<number> {
  const script = join(folder, `${server.name}.lua`)
  const requests = cookies.map((cookie) => `wrk.format("GET", "${path}", { Cookie = ${JSON.stringify(cookie)} })`)
  await writeFile(
    script,
    `local requests, next = {}, 0
init = function() requests = { ${requests.join(',\n')} } end
request = function() next = next % #requests + 1; return requests[next] end
done = function(summary) if summary.errors.status > 0 then io.stderr:write("status errors: " .. summary.errors.status) end end`,
  )
  const { stdout, stderr } = await run('taskset', [
    '-c',
    LOAD_CORE,
    'wrk',
    '-t1',
    '-c32',
    `-d${seconds}s`,
    '-s',
    script,
    server.url,
  ])
  if (stderr !== '') throw new Error(`${server.name} ${path}: ${stderr}`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** The value below which this part of all values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** A Markdown table. */
export function toTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return lines.join('\n')
}

/** Redis and PostgreSQL as Debian packages them, in a folder of their own, gone when the run is. */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../../test/support/waiting.ts'
import type { RealServer } from './catalogue.ts'

export interface Running {
  readonly port: number
  stop(): Promise<void>
}

const START_MS = 20_000
const HOST = '127.0.0.1'

/** A server that is not installed, or does not start; its message says what helps. */
export class MissingServerError extends Error {
  override readonly name = 'MissingServerError'
}

/** @throws {MissingServerError} */
export async function startReal(server: RealServer): Promise<Running> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), `sockswitch-${server}-`))
  const child = server === 'redis' ? startRedis(port, folder) : startPostgres(port, folder)
  if (typeof child === 'string') {
    rmSync(folder, { recursive: true, force: true })
    throw new MissingServerError(child)
  }
  const kill = (): void => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', kill)
  const gone = new Promise((resolve) => child.on('close', resolve))
  const stop = async (): Promise<void> => {
    child.kill(server === 'redis' ? 'SIGTERM' : 'SIGINT')
    await gone
    rmSync(folder, { recursive: true, force: true })
  }
  const answers = await Promise.race([answering(port), gone.then(() => false)])
  if (answers) return { port, stop }
  await stop()
  throw new MissingServerError(`${server} does not start`)
}

function startRedis(port: number, folder: string): ChildProcess | string {
  const path = '/usr/bin/redis-server'
  if (!existsSync(path)) return 'apt-get install redis-server'
  const options = [
    '--port',
    String(port),
    '--bind',
    HOST,
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ]
  return spawn(path, options, { stdio: 'ignore', env: {} })
}

function startPostgres(port: number, folder: string): ChildProcess | string {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort() : []
  const newest = versions.at(-1)
  if (newest === undefined) return 'apt-get install postgresql'
  const bin = join('/usr/lib/postgresql', newest, 'bin')
  const data = join(folder, 'data')
  mkdirSync(data)
  const env = { LC_ALL: 'C' }
  // It refuses to run as root; the package made a user for it.
  const who = process.getuid?.() === 0 ? idsOf('postgres') : undefined
  if (who !== undefined) for (const path of [folder, data]) chownSync(path, who.uid, who.gid)
  const create = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync']
  execFileSync(join(bin, 'initdb'), create, {
    stdio: 'ignore',
    cwd: folder,
    env,
    ...who,
  })
  const settings = {
    port,
    listen_addresses: HOST,
    unix_socket_directories: '',
    fsync: 'off',
    max_connections: 20,
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return spawn(join(bin, 'postgres'), ['-D', data, ...options], {
    stdio: 'ignore',
    cwd: folder,
    env,
    ...who,
  })
}

function idsOf(user: string): { readonly uid: number; readonly gid: number } {
  const id = (which: string): number => Number(execFileSync('id', [which, user], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Waits until somebody accepts connections on `port`. */
async function answering(port: number): Promise<boolean> {
  let open = false
  let trying = false
  const attempt = (): boolean => {
    if (open || trying) return open
    trying = true
    const socket = net.connect(port, HOST)
    socket.on('connect', () => {
      open = true
      socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      trying = false
    })
    return open
  }
  await eventually(attempt, START_MS, () => `a server on port ${port}`)
  return true
}

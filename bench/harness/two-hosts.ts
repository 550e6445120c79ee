import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { makeHosts } from '../../test/fabric/hosts.ts'
import type { Host, Hosts } from '../../test/fabric/hosts.ts'

/** @throws where there can be none. */
export function hostsToBench(): Hosts {
  const hosts = makeHosts()
  if (typeof hosts === 'string') throw new Error(`Cannot bench fabrics: ${hosts}`)
  return hosts
}

/** A program of which one end runs on each host. */
export interface Far {
  /** Options of Node itself, and the script. */
  readonly node: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** What the server is told after its host, and the client after its server's port. */
  readonly server: readonly string[]
  readonly client: readonly string[]
}

/** Runs both ends, each on a processor of its own. @returns what the client has found. */
export async function measureBetween<Found>(hosts: Hosts, far: Far): Promise<Found> {
  const { address } = hosts.server
  const { env } = far
  const command = (host: Host, processor: number, args: readonly string[]): [string, string[]] => [
    'taskset',
    ['-c', String(processor), ...host.within, process.execPath, ...far.node, ...args],
  ]
  const server = spawn(...command(hosts.server, 0, ['server', address, ...far.server]), {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string]
    const { port } = JSON.parse(line) as { port: number }
    const client = command(hosts.client, 1, ['client', address, String(port), ...far.client])
    return JSON.parse(execFileSync(...client, { env, encoding: 'utf8' })) as Found
  } finally {
    server.kill()
    await once(server, 'close')
  }
}

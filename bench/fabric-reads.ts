/**
 * npm run bench:fabric-reads: large sends over Winsock and the fabric, through the ring and read by the peer where they are, in
 * turn. Between two network namespaces, each process on a processor of its own; needs root, iproute2 and libfabric.
 *
 *     fabric-reads.js [PAIRS] [BYTES] [LENGTH,…]
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeHosts } from '../test/fabric/hosts.ts'
import type { Host, Hosts } from '../test/fabric/hosts.ts'

const FAR = fileURLToPath(new URL('./apps/far-winsock.js', import.meta.url))
const [pairs = '3', bytes = '2000000000', lengths = '65536,262144,524288,1048576,4194304'] =
  process.argv.slice(2)

interface Found {
  readonly carriedBy: string
  readonly gigabytesPerSecond: number
  readonly cpuPerGigabyte: number
}

function command(host: Host, processor: number, args: readonly string[]): [string, string[]] {
  return ['taskset', ['-c', String(processor), ...host.within, process.execPath, FAR, ...args]]
}

async function measure({ server, client }: Hosts, length: string, how: 'ring' | 'read'): Promise<Found> {
  const env = {
    ...process.env,
    SOCKSWITCH_FABRIC: 'tcp',
    SOCKSWITCH_FABRIC_READS: how === 'ring' ? 'off' : '4096',
  }
  const far = spawn(...command(server, 0, ['server', server.address, length]), {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(createInterface({ input: far.stdout }), 'line')) as [string]
    const { port } = JSON.parse(line) as { port: number }
    const near = command(client, 1, ['client', server.address, String(port), length, bytes])
    const found = JSON.parse(execFileSync(...near, { env, encoding: 'utf8' })) as Found
    if (found.carriedBy !== 'fabric') throw new Error(`Cannot bench fabrics: it went over ${found.carriedBy}`)
    return found
  } finally {
    far.kill()
    await once(far, 'close')
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

const hosts = makeHosts()
if (typeof hosts === 'string') throw new Error(`Cannot bench fabrics: ${hosts}`)
console.log('bytes of a send   ring GB/s   read GB/s   ratio   ring s/GB   read s/GB   ratio')
for (const length of lengths.split(',')) {
  const found: Record<'ring' | 'read', Found[]> = { ring: [], read: [] }
  for (let pair = 0; pair < Number(pairs); pair++) {
    for (const how of ['ring', 'read'] as const) found[how].push(await measure(hosts, length, how))
  }
  const cells = (['gigabytesPerSecond', 'cpuPerGigabyte'] as const).flatMap((key) => {
    const [ring = 0, read = 0] = [found.ring, found.read].map((all) => median(all.map((one) => one[key])))
    return [ring.toFixed(2).padStart(9), read.toFixed(2).padStart(9), (read / ring).toFixed(2).padStart(5)]
  })
  console.log([length.padStart(15), ...cells].join('   '))
}
hosts.remove()

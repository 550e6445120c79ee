/**
 * npm run bench:fabric-reads: large sends over Winsock and the fabric, through the ring and read by the peer where they are, in
 * turn. Between two network namespaces, each process on a processor of its own; needs root, iproute2 and libfabric.
 *
 *     fabric-reads.js [PAIRS] [BYTES] [LENGTH,…]
 */
import { fileURLToPath } from 'node:url'
import { assertCounts } from '../scripts/support/cannot.ts'
import { spreadOf } from './harness/statistics.ts'
import { hostsToBench, measureBetween } from './harness/two-hosts.ts'

const FAR = fileURLToPath(new URL('./apps/far-winsock.js', import.meta.url))
const [pairs = '3', bytes = '2000000000', lengths = '65536,262144,524288,1048576,4194304'] =
  process.argv.slice(2)
assertCounts('bench large sends over the fabric', [pairs, bytes, ...lengths.split(',')])

interface Found {
  readonly carriedBy: string
  readonly gigabytesPerSecond: number
  readonly cpuPerGigabyte: number
}

async function measure(length: string, how: 'ring' | 'read'): Promise<Found> {
  const found = await measureBetween<Found>(hosts, {
    node: [FAR],
    env: {
      ...process.env,
      SOCKSWITCH_FABRIC: 'tcp',
      SOCKSWITCH_FABRIC_READS: how === 'ring' ? 'off' : '4096',
    },
    server: [length],
    client: [length, bytes],
  })
  if (found.carriedBy !== 'fabric') throw new Error(`Cannot bench fabrics: it went over ${found.carriedBy}`)
  return found
}

const hosts = hostsToBench()
console.log('bytes of a send   ring GB/s   read GB/s   ratio   ring s/GB   read s/GB   ratio')
for (const length of lengths.split(',')) {
  const found: Record<'ring' | 'read', Found[]> = { ring: [], read: [] }
  for (let pair = 0; pair < Number(pairs); pair++) {
    for (const how of ['ring', 'read'] as const) found[how].push(await measure(length, how))
  }
  const cells = (['gigabytesPerSecond', 'cpuPerGigabyte'] as const).flatMap((key) => {
    const [ring = 0, read = 0] = [found.ring, found.read].map(
      (all) => spreadOf(all.map((one) => one[key])).median,
    )
    return [ring.toFixed(2).padStart(9), read.toFixed(2).padStart(9), (read / ring).toFixed(2).padStart(5)]
  })
  console.log([length.padStart(15), ...cells].join('   '))
}
hosts.remove()

/**
 * npm run bench:fabric: stock Node TCP against the fabric provider over libfabric's tcp, between two network namespaces,
 * each process on a processor of its own, in turn. Needs root, iproute2 and libfabric. Numbers are medians.
 */
import { fileURLToPath } from 'node:url'
import { assertCounts } from '../scripts/support/cannot.ts'
import { spreadOf } from './harness/statistics.ts'
import { hostsToBench, measureBetween } from './harness/two-hosts.ts'

const FAR = fileURLToPath(new URL('./apps/far.js', import.meta.url))
const REGISTER = fileURLToPath(new URL('../register.cjs', import.meta.url))
const [pairs = '5', rounds = '20000', bytes = '2000000000'] = process.argv.slice(2)
assertCounts('bench the fabric', [pairs, rounds, bytes])

type Found = Readonly<Record<string, number | string>>

const hosts = hostsToBench()
const found: Record<'stock' | 'fabric', Found[]> = { stock: [], fabric: [] }
for (let pair = 0; pair < Number(pairs); pair++) {
  for (const mode of ['stock', 'fabric'] as const) {
    const switched = mode === 'fabric'
    const one = await measureBetween<Found>(hosts, {
      node: [...(switched ? ['--require', REGISTER] : []), FAR],
      env: { ...process.env, ...(switched && { SOCKSWITCH_FABRIC: 'tcp' }) },
      server: [],
      client: [rounds, bytes],
    })
    console.log(mode, JSON.stringify(one))
    found[mode].push(one)
  }
}
for (const key of ['p50Us', 'p99Us', 'cpuUs', 'gigabytesPerSecond', 'cpuPerGigabyte']) {
  const [stock, fabric] = [found.stock, found.fabric].map(
    (all) => spreadOf(all.map((one) => Number(one[key]))).median,
  )
  const ratio = (fabric ?? 0) / (stock ?? 1)
  console.log(
    `${key.padEnd(20)} stock ${(stock ?? 0).toFixed(2).padStart(8)}  fabric ${(fabric ?? 0).toFixed(2).padStart(8)}  ratio ${ratio.toFixed(2)}`,
  )
}
hosts.remove()

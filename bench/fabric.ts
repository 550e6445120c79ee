/**
 * npm run bench:fabric: stock Node TCP against the fabric provider over libfabric's tcp, between two network namespaces,
 * each process on a processor of its own, in turn. Needs root, iproute2 and libfabric. Numbers are medians.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeHosts } from '../test/fabric/hosts.ts'
import type { Host, Hosts } from '../test/fabric/hosts.ts'

const FAR = fileURLToPath(new URL('./apps/far.js', import.meta.url))
const REGISTER = fileURLToPath(new URL('../register.cjs', import.meta.url))
const [pairs = '5', rounds = '20000', bytes = '2000000000'] = process.argv.slice(2)

type Found = Readonly<Record<string, number | string>>

function command(
  host: Host,
  processor: number,
  switched: boolean,
  args: readonly string[],
): [string, string[]] {
  const node = [process.execPath, ...(switched ? ['--require', REGISTER] : []), FAR, ...args]
  return ['taskset', ['-c', String(processor), ...host.within, ...node]]
}

async function measure({ server, client }: Hosts, switched: boolean): Promise<Found> {
  const env = { ...process.env, ...(switched && { SOCKSWITCH_FABRIC: 'tcp' }) }
  const far = spawn(...command(server, 0, switched, ['server', server.address]), {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(createInterface({ input: far.stdout }), 'line')) as [string]
    const { port } = JSON.parse(line) as { port: number }
    const near = command(client, 1, switched, ['client', server.address, String(port), rounds, bytes])
    return JSON.parse(execFileSync(...near, { env, encoding: 'utf8' })) as Found
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
const found: Record<'stock' | 'fabric', Found[]> = { stock: [], fabric: [] }
for (let pair = 0; pair < Number(pairs); pair++) {
  for (const mode of ['stock', 'fabric'] as const) {
    const one = await measure(hosts, mode === 'fabric')
    console.log(mode, JSON.stringify(one))
    found[mode].push(one)
  }
}
for (const key of ['p50Us', 'p99Us', 'cpuUs', 'gigabytesPerSecond', 'cpuPerGigabyte']) {
  const [stock, fabric] = [found.stock, found.fabric].map((all) => median(all.map((one) => Number(one[key]))))
  const ratio = (fabric ?? 0) / (stock ?? 1)
  console.log(
    `${key.padEnd(20)} stock ${(stock ?? 0).toFixed(2).padStart(8)}  fabric ${(fabric ?? 0).toFixed(2).padStart(8)}  ratio ${ratio.toFixed(2)}`,
  )
}
hosts.remove()

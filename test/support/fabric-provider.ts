import type { AddressSource } from '../../conformance/index.ts'
import { loadFabric, loadShm } from '../../src/native/load.ts'
import { Turns } from '../../src/native/turns.ts'
import { fabric } from '../../src/providers/fabric/index.ts'
import type { FabricName, FabricOptions, FabricProvider } from '../../src/providers/fabric/index.ts'
import type { ServedSubnet } from '../../src/spi/index.ts'

/** Which provider of libfabric is tested, and at which IPv4 address; `npm run test:verbs` says another. */
const [NAME = 'tcp', ADDRESS = '127.0.0.1'] = (process.env['SOCKSWITCH_FABRIC_UNDER_TEST'] ?? '')
  .split('@')
  .filter(Boolean)
export const FABRIC_UNDER_TEST: FabricName = NAME === 'verbs' ? 'verbs' : 'tcp'

const NETWORKS: readonly ServedSubnet[] = [
  { family: 'IPv4', address: ADDRESS, prefixLength: 8 },
  { family: 'IPv6', address: '::1', prefixLength: 128 },
]

/** Why fabrics cannot be tested here; false when they can. For the `skip` of a test. */
export function noFabric(): string | false {
  const loaded = loadFabric()
  if ('reason' in loaded) return loaded.reason
  const endpoints = new loaded.native.Fabric(FABRIC_UNDER_TEST, 1, 64, 1, 1, 64)
  const status = endpoints.open()
  endpoints.destroy()
  return status === 0
    ? false
    : `libfabric has no provider ${FABRIC_UNDER_TEST} here (errno ${String(-status)})`
}

let turns: Turns | undefined

/**
 * Connects wait for a link that is coming up, however long that takes: nothing else would carry them here. On a busy machine a
 * link may take longer than programs wait, which have TCP/IP, and in an emulated one it takes a second.
 */
const PATIENCE = { patienceMs: 10_000 }

/** A fabric provider of its own over loopback; throws where there is no libfabric. */
export function fabricProvider(options: Partial<Omit<FabricOptions, 'native'>> = {}): FabricProvider {
  const loaded = loadFabric()
  const shm = loadShm()
  if ('reason' in loaded) throw new Error(`Cannot test the fabric provider: ${loaded.reason}`)
  if ('reason' in shm) throw new Error(`Cannot test the fabric provider: ${shm.reason}`)
  turns ??= new Turns(shm.native, 100_000)
  const networks = (): readonly ServedSubnet[] => NETWORKS
  return fabric({
    native: loaded.native,
    provider: FABRIC_UNDER_TEST,
    turns,
    networks,
    patient: true,
    ...options,
    limits: { ...PATIENCE, ...options.limits },
  })
}

/** Full addresses whose fabric services lie below the ports that the kernel gives to connects; by process, not by luck. */
export function fabricAddresses(family: 'IPv4' | 'IPv6'): AddressSource {
  const address = family === 'IPv4' ? ADDRESS : '::1'
  let port = 1200 + (process.pid % 120) * 120
  return () => ({ family, address, port: port++ })
}

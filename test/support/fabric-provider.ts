import type { AddressSource } from '../../conformance/index.ts'
import { loadFabric, loadShm } from '../../src/native/load.ts'
import { Turns } from '../../src/native/turns.ts'
import { fabric } from '../../src/providers/fabric/index.ts'
import type { FabricOptions, FabricProvider } from '../../src/providers/fabric/index.ts'
import type { ServedSubnet } from '../../src/spi/index.ts'

const LOOPBACK: readonly ServedSubnet[] = [
  { family: 'IPv4', address: '127.0.0.0', prefixLength: 8 },
  { family: 'IPv6', address: '::1', prefixLength: 128 },
]

/** Why fabrics cannot be tested here; false when they can. For the `skip` of a test. */
export function noFabric(): string | false {
  const loaded = loadFabric()
  return 'reason' in loaded ? loaded.reason : false
}

let turns: Turns | undefined

/** A fabric provider of its own over loopback; throws where there is no libfabric. */
export function fabricProvider(options: Partial<Omit<FabricOptions, 'native'>> = {}): FabricProvider {
  const loaded = loadFabric()
  const shm = loadShm()
  if ('reason' in loaded) throw new Error(`Cannot test the fabric provider: ${loaded.reason}`)
  if ('reason' in shm) throw new Error(`Cannot test the fabric provider: ${shm.reason}`)
  turns ??= new Turns(shm.native, 100_000)
  const networks = (): readonly ServedSubnet[] => LOOPBACK
  return fabric({ native: loaded.native, provider: 'tcp', turns, networks, patient: true, ...options })
}

/** Full addresses whose fabric services lie below the ports that the kernel gives to connects; by process, not by luck. */
export function fabricAddresses(family: 'IPv4' | 'IPv6'): AddressSource {
  const address = family === 'IPv4' ? '127.0.0.1' : '::1'
  let port = 1200 + (process.pid % 120) * 120
  return () => ({ family, address, port: port++ })
}

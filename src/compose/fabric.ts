import { isIP } from 'node:net'
import { loadFabric } from '../native/load.ts'
import type { Turns } from '../native/turns.ts'
import { fabric, localNetworks } from '../providers/fabric/index.ts'
import type { FabricName, FabricProvider } from '../providers/fabric/index.ts'
import type { ServedSubnet } from '../spi/index.ts'

/** What the environment says about fabrics. */
export interface FabricConfig {
  /** The provider of libfabric; undefined: none. */
  readonly provider: FabricName | undefined
  /** The networks whose hosts are trusted to connect; undefined: those this host is on. */
  readonly networks: readonly ServedSubnet[] | undefined
  /** A peer that is silent is asked each so often whether it is there; the fourth time it counts as dead, in ms. */
  readonly heartbeatMs: number | undefined
  /** Sends of more bytes than this are read by the peer where they are; infinitely many: none. */
  readonly readBytes: number | undefined
}

export const FABRICS = ['off', 'tcp', 'verbs'] as const

export function readFabricConfig(environment: NodeJS.ProcessEnv): FabricConfig {
  const {
    SOCKSWITCH_FABRIC: name,
    SOCKSWITCH_FABRIC_NETWORKS: networks,
    SOCKSWITCH_FABRIC_HEARTBEAT: beat,
    SOCKSWITCH_FABRIC_READS: reads,
  } = environment
  return {
    provider: name === 'tcp' || name === 'verbs' ? name : undefined,
    networks: networks === undefined ? undefined : networks.split(',').map((text) => readSubnet(text.trim())),
    heartbeatMs: beat === undefined ? undefined : readHeartbeat(beat),
    readBytes: reads === undefined ? undefined : readThreshold(reads),
  }
}

function readSubnet(text: string): ServedSubnet {
  const [address = '', bits = ''] = text.split('/')
  const version = isIP(address)
  const prefixLength = Number(bits)
  const isPrefix = /^\d+$/.test(bits) && prefixLength <= (version === 4 ? 32 : 128)
  if (version === 0 || address.includes('%') || !isPrefix) {
    throw new Error(
      `Cannot start sockswitch: SOCKSWITCH_FABRIC_NETWORKS has "${text}", which is no network like 10.0.0.0/8`,
    )
  }
  return { family: version === 4 ? 'IPv4' : 'IPv6', address, prefixLength }
}

function readHeartbeat(text: string): number {
  const milliseconds = Number(text)
  if (Number.isInteger(milliseconds) && milliseconds >= 100 && milliseconds <= 3_600_000) return milliseconds
  throw new Error(
    `Cannot start sockswitch: SOCKSWITCH_FABRIC_HEARTBEAT="${text}" is not a number of milliseconds from 100 to 3600000`,
  )
}

function readThreshold(text: string): number {
  if (text === 'off') return Infinity
  const bytes = Number(text)
  if (Number.isInteger(bytes) && bytes >= 4096 && bytes < 2 ** 32) return bytes
  throw new Error(
    `Cannot start sockswitch: SOCKSWITCH_FABRIC_READS="${text}" is neither "off" nor a number of bytes from 4096 on`,
  )
}

/** What helps where libfabric has nothing to run on. */
export const FABRIC_REMEDIES: Readonly<Record<FabricName, string>> = {
  verbs:
    'it needs an RDMA device that is up (rdma link lists them), with an IP address, and its library (Debian: ibverbs-providers); SOCKSWITCH_FABRIC=tcp needs none',
  tcp: 'fi_info -p tcp (Debian: libfabric-bin) says more',
}

/**
 * The fabric provider that the environment asks for; or why there is none; undefined when it asks for none.
 *
 * @param unavailable Called when libfabric has answered, later, that it has no such provider here, with the reason.
 */
export function composeFabric(
  config: FabricConfig,
  turns: Turns,
  unavailable: (reason: string) => void,
  spinMicroseconds = 0,
): FabricProvider | { readonly reason: string } | undefined {
  const { provider } = config
  if (provider === undefined) return undefined
  const loaded = loadFabric()
  if ('reason' in loaded) return loaded
  const { networks, heartbeatMs, readBytes } = config
  return fabric({
    native: loaded.native,
    provider,
    turns,
    unavailable: (reason) => {
      unavailable(`${reason}; ${FABRIC_REMEDIES[provider]}`)
    },
    spinMicroseconds,
    networks: networks === undefined ? localNetworks : () => networks,
    limits: {
      ...(heartbeatMs !== undefined && { heartbeatMs }),
      ...(readBytes !== undefined && { readBytes }),
    },
  })
}

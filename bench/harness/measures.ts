import type { Measure } from './measure.ts'
import {
  CPU_PER_GB,
  CPU_PER_UNIT,
  IDLE_CPU,
  MEMORY_PER_CONNECTION,
  P50,
  P99,
  RATE,
  THROUGHPUT,
} from './metrics.ts'
import type { Mode } from './modes.ts'
import { formatSize } from './format.ts'

const KIB = 1024
const MIB = KIB * 1024

/** The size ladder of rdma-core's rstream, thinned. */
export const SIZES = [64, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB] as const

/** What a measure is made with: for how long, and between which modes. */
interface Setting {
  readonly modes: readonly Mode[]
  readonly durationMs: number
  /** Distinguishes the same programs in other modes. */
  readonly group?: string
  readonly title?: string
}

export function roundTrip(
  size: number,
  { group = 'rtt', title = `${formatSize(size)} round trip`, ...setting }: Setting,
): Measure {
  return {
    name: `${group}-${shortSize(size)}`,
    group,
    title,
    server: { app: 'echo-server', args: ['--nodelay', '1'] },
    client: { app: 'ping-pong', args: ['--size', String(size)] },
    metrics: [P50, P99, CPU_PER_UNIT],
    size,
    ...setting,
  }
}

export function oneWay(
  size: number,
  { group = 'stream', title = `one way, ${formatSize(size)} writes`, ...setting }: Setting,
): Measure {
  return {
    name: `${group}-${shortSize(size)}`,
    group,
    title,
    server: { app: 'sink-server', args: [] },
    client: { app: 'stream', args: ['--size', String(size)] },
    metrics: [THROUGHPUT, CPU_PER_GB],
    size,
    ...setting,
  }
}

export function connects(concurrency: number, { group = 'connect', ...setting }: Setting): Measure {
  const lanes = concurrency === 1 ? 'one at a time' : `${concurrency} at a time`
  return {
    name: `${group}-${concurrency}`,
    group,
    title: `connect, echo, close (${lanes})`,
    server: { app: 'echo-server', args: [] },
    client: { app: 'connect', args: ['--concurrency', String(concurrency)] },
    metrics: [RATE, P50, P99, CPU_PER_UNIT],
    ...setting,
  }
}

export function http(connections: number, { group = 'http', ...setting }: Setting): Measure {
  return {
    name: `${group}-${connections}`,
    group,
    title: `HTTP requests, ${connections} connection${connections === 1 ? '' : 's'}`,
    server: { app: 'http-server', args: [] },
    client: { app: 'http-load', args: ['--connections', String(connections)] },
    metrics: [RATE, P50, P99, CPU_PER_UNIT],
    ...setting,
  }
}

/** Requests by a protocol that is not plain HTTP/1.1. */
export function secureHttp(
  protocol: 'https' | 'http2' | 'h2c',
  connections: number,
  setting: Setting,
): Measure {
  return {
    name: `${protocol}-${connections}`,
    group: protocol,
    title: `${HTTP_TITLES[protocol]} requests, ${connections} connection${connections === 1 ? '' : 's'}`,
    server: { app: 'http-server', args: ['--protocol', protocol] },
    client: {
      app: protocol === 'https' ? 'http-load' : 'http2-load',
      args: ['--protocol', protocol, '--connections', String(connections)],
    },
    metrics: [RATE, P50, P99, CPU_PER_UNIT],
    ...setting,
  }
}

const HTTP_TITLES = { https: 'HTTPS', http2: 'HTTP/2', h2c: 'HTTP/2 without TLS' } as const

export function idle(connections: number, { group = 'idle', ...setting }: Setting): Measure {
  return {
    name: `${group}-${connections}`,
    group,
    title: `${connections.toLocaleString('en')} idle connections, ${setting.durationMs / 1e3} s`,
    server: { app: 'echo-server', args: [] },
    client: { app: 'idle', args: ['--count', String(connections)] },
    // What a process costs besides its connections is small only when it is divided by many.
    metrics: connections < 1000 ? [IDLE_CPU] : [IDLE_CPU, MEMORY_PER_CONNECTION],
    collectsGarbage: true,
    maxPairs: 3,
    ...setting,
  }
}

function shortSize(size: number): string {
  return formatSize(size)
    .replaceAll(/iB| |B/g, '')
    .toLowerCase()
}

/** Everything `npm run bench` measures. */
export function allMeasures(durationMs: number): Measure[] {
  const modes = ['stock', 'uds', 'switched'] as const
  const half = ['stock', 'half', 'half-server'] as const
  const wsk = ['stock', 'switched', 'wsk'] as const
  return [
    ...SIZES.map((size) => roundTrip(size, { modes, durationMs })),
    ...SIZES.map((size) => oneWay(size, { modes, durationMs })),
    connects(1, { modes, durationMs }),
    connects(8, { modes, durationMs }),
    http(1, { modes, durationMs }),
    http(50, { modes, durationMs }),
    ...(['https', 'http2', 'h2c'] as const).flatMap((protocol) =>
      [1, 50].map((connections) =>
        secureHttp(protocol, connections, { modes: ['stock', 'switched'], durationMs }),
      ),
    ),
    // A difference of three per cent is small against the noise: these run longer.
    roundTrip(64, { modes: half, durationMs: durationMs * 2, group: 'half-rtt' }),
    oneWay(64 * KIB, { modes: half, durationMs: durationMs * 2, group: 'half-stream' }),
    connects(1, { modes: half, durationMs: durationMs * 2, group: 'half-connect' }),
    roundTrip(64, {
      modes: wsk,
      durationMs,
      group: 'wsk-rtt',
      title: 'WSK echo round trip over shared memory, 64 B',
    }),
    oneWay(64 * KIB, {
      modes: wsk,
      durationMs,
      group: 'wsk-stream',
      title: 'WSK stream over shared memory, 64 KiB writes',
    }),
    idle(200, { modes: ['stock', 'switched'], durationMs: 5000 }),
    { ...idle(10_000, { modes: ['stock', 'switched'], durationMs: 5000 }), maxPairs: 1 },
  ]
}

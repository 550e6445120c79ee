import { threadId } from 'node:worker_threads'
import type { SocketAddress } from '../spi/index.ts'
import { connectionOf } from '../faces/net/graft.ts'
import { FabricProvider } from '../providers/fabric/index.ts'
import type { FabricStats } from '../providers/fabric/index.ts'
import type { TcpHandle } from '../faces/net/internals.ts'
import type { ConnectionReport } from '../switch/face.ts'
import type { ProcessSwitch } from './process-switch.ts'

/** What `sockswitch ls` shows of one process; JSON as it is. */
export interface ProcessReport {
  readonly pid: number
  /** The worker thread whose event loop this is; 0 is the main thread. */
  readonly thread: number
  readonly command: string
  readonly node: string
  readonly profile: string
  /** `observe`: nothing is switched. */
  readonly mode: string
  readonly rules: readonly string[]
  readonly providers: readonly {
    readonly name: string
    readonly description?: string
    readonly error?: number
    /** Why it cannot be had at all. */
    readonly unavailable?: string
  }[]
  readonly listeners: readonly ListenerRow[]
  readonly connections: readonly ConnectionRow[]
  readonly counters: Counters
}

export interface ListenerRow {
  readonly local: SocketAddress
  /** `tcpip` always; the SAN providers beside it. */
  readonly providers: readonly string[]
  /** Why no SAN provider listens beside TCP/IP. */
  readonly reason?: string
}

export type ConnectionRow = ConnectionReport

export interface Counters {
  readonly connects: number
  readonly accepts: number
  readonly refusals: number
  readonly stayed: Readonly<Record<string, number>>
  /** What would have been switched, had it not only been observed. */
  readonly observed: { readonly connects: number; readonly accepts: number }
  readonly links: number
  readonly sharedBytes: number
  readonly wakes: number
  readonly sleeps: number
  readonly spins: number
  readonly spinHits: number
  /** Where connections between hosts are asked for. */
  readonly fabric?: FabricStats
}

/** The most TCP/IP connections listed one by one; the counters always count all. */
const MAX_TCP_ROWS = 1000

export function report(whole: ProcessSwitch): ProcessReport {
  const { stats } = whole.switch
  const shm = whole.shm.stats
  return {
    pid: process.pid,
    thread: threadId,
    command: process.argv.slice(1).join(' ') || process.title,
    node: process.version,
    profile: whole.config.profile,
    mode: whole.config.mode,
    rules: whole.config.rules.map(({ text }) => text),
    providers: [...whole.switch.reports, ...missing(whole)],
    listeners: [whole.face, ...whole.others]
      .flatMap((face) => [...face.listeners()])
      .map(({ local, providers, reason }) => ({
        local,
        providers: ['tcpip', ...providers],
        ...(reason !== undefined && { reason }),
      })),
    connections: [
      ...sanRows(whole),
      ...[...whole.others].flatMap((face) => [...face.connections()]),
      ...tcpRows(whole),
    ],
    counters: {
      connects: stats.connects,
      accepts: stats.accepts,
      refusals: stats.refusals,
      stayed: stats.reasons,
      observed: stats.observed,
      links: shm.links,
      sharedBytes: shm.bytes,
      wakes: shm.poller?.wakes ?? 0,
      sleeps: shm.poller?.sleeps ?? 0,
      spins: shm.poller?.spins ?? 0,
      spinHits: shm.poller?.hits ?? 0,
      ...(whole.fabric instanceof FabricProvider && { fabric: whole.fabric.stats }),
    },
  }
}

function missing({ fabric }: ProcessSwitch): ProcessReport['providers'] {
  return fabric !== undefined && 'reason' in fabric ? [{ name: 'fabric', unavailable: fabric.reason }] : []
}

function sanRows(whole: ProcessSwitch): ConnectionRow[] {
  return [...whole.face.connections].map(({ parts, session }) => ({
    direction: parts.direction,
    local: parts.local,
    remote: parts.remote,
    state: session.state,
    provider: parts.provider,
    bytesRead: session.bytesRead,
    bytesWritten: session.bytesWritten,
  }))
}

interface ActiveSocket {
  readonly _handle?: (TcpHandle & { readonly fd: number }) | null
  readonly localAddress?: string
  readonly localFamily?: string
  readonly localPort?: number
  readonly remoteAddress?: string
  readonly remoteFamily?: string
  readonly remotePort?: number
  readonly connecting?: boolean
  readonly server?: object | null
  readonly bytesRead?: number
  readonly bytesWritten?: number
}

// Node knows its open sockets already; asking at this moment spares every TCP/IP connection the bookkeeping.
function tcpRows(whole: ProcessSwitch): ConnectionRow[] {
  const active = (process as unknown as { _getActiveHandles(): ActiveSocket[] })._getActiveHandles()
  const rows: ConnectionRow[] = []
  for (const socket of active) {
    const handle = socket._handle
    if (!handle || connectionOf(handle) !== undefined) continue
    if (socket.remoteAddress === undefined || socket.remotePort === undefined) continue
    const direction = socket.server ? 'in' : 'out'
    const reason = whole.face.reasonOf(handle) ?? (direction === 'in' ? 'peer-not-switched' : undefined)
    rows.push({
      direction,
      local: address(socket.localFamily, socket.localAddress, socket.localPort),
      remote: address(socket.remoteFamily, socket.remoteAddress, socket.remotePort),
      state: socket.connecting === true ? 'connecting' : 'open',
      provider: 'tcpip',
      ...(reason !== undefined && { reason }),
      bytesRead: socket.bytesRead ?? 0,
      bytesWritten: socket.bytesWritten ?? 0,
    })
    if (rows.length >= MAX_TCP_ROWS) break
  }
  return rows
}

function address(family?: string, text?: string, port?: number): SocketAddress | undefined {
  if (text === undefined || port === undefined) return undefined
  return { family: family === 'IPv6' ? 'IPv6' : 'IPv4', address: text, port }
}

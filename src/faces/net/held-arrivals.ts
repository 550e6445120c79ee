import type net from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import { connectionOf } from './graft.ts'
import { Inspected, Inspections, inspectOf, noteInspect } from './inspect.ts'
import type { Inspect } from './inspect.ts'
import type { OwnerServer, TcpHandle } from './internals.ts'
import { asyncResource } from './internals.ts'

/** Connections of one listener that may wait for their verdict; as many as Node lets wait in the kernel. */
const MAX_HELD = 511
/** How often it is looked whether the peers of those that wait are still there, in ms. */
const LOOK_MS = 100

/** Lets `inspect` judge whoever connects to `server`, switched or not; to be called before the server listens. */
export function inspectConnections(server: net.Server, inspect: Inspect): void {
  noteInspect(server, inspect)
  // The face has seen to it already, where it is under this server.
  server.on('listening', () => {
    const { _handle: handle } = server as OwnerServer
    if (handle !== null) holdArrivals(server, handle)
  })
}

const listeners = new WeakMap<TcpHandle, Inspections>()

/**
 * Holds what TCP/IP has accepted until it is judged; nothing is read meanwhile. Idempotent.
 *
 * @param handle The server's, which is about to listen or has just begun to.
 * @returns the requests of the listener, or undefined when its server does not inspect.
 */
export function holdArrivals(server: net.Server, handle: TcpHandle): Inspections | undefined {
  const known = listeners.get(handle)
  const inspect = inspectOf(server)
  const deliver = handle.onconnection
  if (known !== undefined || inspect === undefined || deliver === undefined) return known
  const inspections = new Inspections(server, inspect)
  listeners.set(handle, inspections)
  const resource = asyncResource('TCPSERVERWRAP')
  const held = new HeldArrivals(inspections, (client) => {
    resource.runInAsyncScope(deliver, handle, 0, client)
  })
  handle.onconnection = function (status, client) {
    // What came over a SAN was judged before.
    if (status !== 0 || client === undefined || connectionOf(client) !== undefined)
      deliver.call(this, status, client)
    else held.hold(client)
  }
  const close = handle.close
  handle.close = function (done) {
    held.close()
    inspections.close()
    close.call(this, done)
  }
  return inspections
}

/** The accepted TCP connections of a listener that wait for their verdict. */
class HeldArrivals {
  readonly #inspections: Inspections
  readonly #deliver: (client: TcpHandle) => void
  readonly #held = new Map<TcpHandle, Inspected>()
  #timer: NodeJS.Timeout | undefined

  constructor(inspections: Inspections, deliver: (client: TcpHandle) => void) {
    this.#inspections = inspections
    this.#deliver = deliver
  }

  hold(client: TcpHandle): void {
    const request = new Inspected('tcpip', addressOf(client, 'getpeername'), addressOf(client, 'getsockname'))
    if (this.#held.size >= MAX_HELD || isGone(client)) {
      client.reset()
      return
    }
    this.#held.set(client, request)
    const judgement = this.#inspections.judge(request, (inspection) => {
      this.#decide(client, inspection)
    })
    if (judgement !== 'later') this.#decide(client, judgement)
    else
      this.#timer ??= setInterval(() => {
        this.#look()
      }, LOOK_MS).unref()
  }

  close(): void {
    for (const client of this.#held.keys()) client.reset()
    this.#held.clear()
    this.#rest()
  }

  #decide(client: TcpHandle, inspection: 'accept' | 'reject'): void {
    const request = this.#held.get(client)
    // The listener was closed, or the peer has given up.
    if (request === undefined) return
    if (inspection === 'accept' && isGone(client)) {
      this.#abort(client, request)
      return
    }
    this.#held.delete(client)
    this.#rest()
    this.#inspections.settle(request)
    if (inspection === 'accept') this.#deliver(client)
    else client.reset()
  }

  // No event tells of a reset while nothing is read.
  #look(): void {
    for (const [client, request] of this.#held) if (isGone(client)) this.#abort(client, request)
  }

  #abort(client: TcpHandle, request: Inspected): void {
    this.#held.delete(client)
    this.#rest()
    client.close()
    this.#inspections.abort(request)
  }

  #rest(): void {
    if (this.#held.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** True once the peer has reset the connection: the kernel knows no peer then. */
function isGone(client: TcpHandle): boolean {
  return isTcp(client) && client.getpeername({}) !== 0
}

/** A server that listens on a path has handles of another kind. */
function isTcp(client: TcpHandle): boolean {
  return typeof (client as Partial<TcpHandle>).getpeername === 'function'
}

function addressOf(client: TcpHandle, call: 'getpeername' | 'getsockname'): SocketAddress | undefined {
  const out: Partial<Record<'address' | 'family', string>> & { port?: number } = {}
  if (!isTcp(client) || client[call](out) !== 0) return undefined
  const { address, family, port } = out
  if (address === undefined || port === undefined) return undefined
  return { family: family === 'IPv6' ? 'IPv6' : 'IPv4', address, port }
}

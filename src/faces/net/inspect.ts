import type net from 'node:net'
import { WSA } from '../../spi/index.ts'
import type { SocketAddress } from '../../spi/index.ts'
import type { Condition, IncomingRequest, Judgement } from '../../switch/incoming.ts'
import type { ShowAddress } from './surroundings.ts'

/**
 * Judges who may connect, before anybody is connected.
 *
 * Over a SAN the peer's connect waits for the answer, and fails with `ECONNREFUSED` when that is `reject`. On TCP/IP the
 * kernel has accepted already: nothing is read or delivered before the answer, and a rejected peer is reset.
 *
 * An inspection that throws, rejects its promise or answers anything else rejects the peer, and the server emits `error`.
 */
export type Inspect = (this: net.Server, request: InspectRequest) => Inspection | PromiseLike<Inspection>

export type Inspection = 'accept' | 'reject'

/** Who wants to connect to what. The addresses are those of the socket to come; none over a path. */
export interface InspectRequest {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: string | undefined
  /** `tcpip`, or the SAN provider that is to carry the connection. */
  readonly provider: string
  /**
   * Aborted when the peer gives up, or the server closes, before there is a connection. The former emits `inspectAbort` on
   * the server, too, with the request.
   */
  readonly signal: AbortSignal
}

/** A request and the end that it may find. */
export class Inspected implements InspectRequest {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: string | undefined
  readonly provider: string
  // Most inspections answer at once, and need none.
  #controller: AbortController | undefined
  #aborted = false

  constructor(provider: string, remote: SocketAddress | undefined, local: SocketAddress | undefined) {
    this.provider = provider
    this.remoteAddress = remote?.address
    this.remotePort = remote?.port
    this.remoteFamily = remote?.family
    this.localAddress = local?.address
    this.localPort = local?.port
    this.localFamily = local?.family
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted) this.#controller.abort()
    return this.#controller.signal
  }

  abort(): void {
    this.#aborted = true
    this.#controller?.abort()
  }
}

const inspections = new WeakMap<net.Server, Inspect>()

/** Lets `inspect` judge whoever connects to `server`; to be called before the server listens. */
export function noteInspect(server: net.Server, inspect: Inspect): void {
  inspections.set(server, inspect)
}

export function inspectOf(server: net.Server): Inspect | undefined {
  return inspections.get(server)
}

/** What an inspection says: at once, or later by `decide`, which is called once. */
function judge(
  server: net.Server,
  inspect: Inspect,
  request: InspectRequest,
  decide: (inspection: Inspection) => void,
): Inspection | 'later' {
  let answer: Inspection | PromiseLike<Inspection>
  try {
    answer = inspect.call(server, request)
    if (typeof answer === 'string') return inspectionOf(answer)
  } catch (error) {
    fail(server, error)
    return 'reject'
  }
  Promise.resolve(answer)
    .then(inspectionOf)
    .catch((error: unknown): Inspection => {
      fail(server, error)
      return 'reject'
    })
    .then(decide, (error: unknown) => {
      fail(server, error)
    })
  return 'later'
}

function inspectionOf(answer: unknown): Inspection {
  if (answer === 'accept' || answer === 'reject') return answer
  throw new TypeError(`Cannot inspect: the answer ${JSON.stringify(answer)} is not one of "accept", "reject"`)
}

// In a turn of its own, as whatever else goes wrong with a server.
function fail(server: net.Server, error: unknown): void {
  process.nextTick(() => {
    server.emit('error', error)
  })
}

/** The requests of a listener that are not decided, or not connections yet. */
export class Inspections {
  readonly #server: net.Server
  readonly #inspect: Inspect
  readonly #open = new Set<Inspected>()

  constructor(server: net.Server, inspect: Inspect) {
    this.#server = server
    this.#inspect = inspect
  }

  get size(): number {
    return this.#open.size
  }

  judge(request: Inspected, decide: (inspection: Inspection) => void): Inspection | 'later' {
    this.#open.add(request)
    return judge(this.#server, this.#inspect, request, decide)
  }

  /** The request is a connection now, or was rejected. */
  settle(request: Inspected): void {
    this.#open.delete(request)
  }

  /** The peer has given up. */
  abort(request: Inspected): void {
    if (!this.#open.delete(request)) return
    request.abort()
    this.#server.emit('inspectAbort', request)
  }

  /** The listener closes; nobody hears of its requests any more, but whoever still works on one. */
  close(): void {
    for (const request of this.#open) request.abort()
    this.#open.clear()
  }

  /** Asks about the requests that come over a SAN. */
  condition(show: () => ShowAddress): Condition {
    return (incoming: IncomingRequest): Judgement => {
      const shown = show()
      const request = new Inspected(incoming.provider, shown(incoming.remote), shown(incoming.local))
      requests.set(incoming, request)
      incoming.onAbandoned = () => {
        this.abort(request)
      }
      const judgement = this.judge(request, (inspection) => {
        if (inspection === 'accept') {
          incoming.accept()
          return
        }
        this.settle(request)
        incoming.reject()
      })
      if (judgement === 'later') return 'defer'
      if (judgement === 'accept') return 'accept'
      this.settle(request)
      return { reject: WSA.WSAECONNREFUSED }
    }
  }

  /** A connection over a SAN stands. */
  arrived(incoming: IncomingRequest): void {
    const request = requests.get(incoming)
    if (request !== undefined) this.settle(request)
  }
}

const requests = new WeakMap<IncomingRequest, Inspected>()

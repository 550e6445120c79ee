import assert from 'node:assert/strict'

import { Overlapped, WSA } from '../src/spi/index.ts'
import type {
  ConnectionRequest,
  RdmaAccess,
  SanProvider,
  SanSocket,
  SocketAddress,
  Status,
  Verdict,
} from '../src/spi/index.ts'
import { assertStatus, valueOf } from './check.ts'
import type { RecordedEvent } from './recorder.ts'
import { Station, acceptNext, startConnect, startListening } from './station.ts'
import type { Attempt, Outcome } from './station.ts'

/** What an address is wanted for. A provider that checks who owns the TCP port prepares it accordingly. */
export type AddressUse =
  /** To listen at. */
  | 'listener'
  /** To listen at its port through the wildcard of its family. */
  | 'wildcard'
  /** To connect from. */
  | 'client'
  /** To connect to where nobody switched listens. */
  | 'nobody'

export type AddressSource = (use: AddressUse) => SocketAddress | Promise<SocketAddress>

/** A socket of a {@link Peer}. */
export type PeerSocket = number

export interface PeerAccepted {
  readonly status: Status
  /** Meaningful when `status` is 0. */
  readonly socket: PeerSocket
  readonly request: ConnectionRequest
}

/**
 * The far side of a test: sockets of a provider that may live in another process. Every argument and result can be sent
 * as a message. A call that cannot be carried out rejects; what the provider answered is a value.
 */
export interface Peer {
  address(use: AddressUse): Promise<SocketAddress>
  /** Makes a socket and binds it. */
  open(local: SocketAddress): Promise<PeerSocket>
  listen(socket: PeerSocket, backlog: number): Promise<Status>
  /** Waits for a request and answers it. */
  accept(listener: PeerSocket, verdict: Verdict): Promise<PeerAccepted>
  /** Starts to connect; resolves with what the call answered. */
  connect(socket: PeerSocket, to: SocketAddress, callerData: Uint8Array): Promise<Status>
  /** Waits until the connect has ended. */
  outcome(socket: PeerSocket): Promise<Outcome>
  /** Copies `content` into the send region and publishes it. */
  write(socket: PeerSocket, offset: number, content: Uint8Array): Promise<Status>
  signal(socket: PeerSocket): Promise<Status>
  /** Posts a receive and waits for its end, or resolves with what the call answered when it did not start. */
  receive(socket: PeerSocket): Promise<Status>
  /** Copies bytes out of the receive region. */
  read(socket: PeerSocket, offset: number, length: number): Promise<Uint8Array>
  /** Registers a further region of the length of `content`, publishes `content` there, returns its descriptor. */
  register(socket: PeerSocket, content: Uint8Array): Promise<number>
  /** Exposes a copy of `content`; resolves with its descriptor. */
  expose(socket: PeerSocket, content: Uint8Array, access: RdmaAccess): Promise<number>
  /** Takes one registration back. */
  conceal(socket: PeerSocket, descriptor: number): Promise<Status>
  close(socket: PeerSocket): Promise<Status>
  /** Closes what is open and gives the provider back. */
  end(): Promise<void>
}

interface Held {
  readonly socket: SanSocket
  /** What it has exposed, by content, so that exposing it again is exposing the same memory. */
  exposed?: Uint8Array[]
  event?: RecordedEvent
  attempt?: Attempt
}

/** A far side in this process. */
export class LocalPeer implements Peer {
  readonly station: Station
  readonly #addresses: AddressSource
  readonly #held = new Map<PeerSocket, Held>()
  #count = 0

  constructor(station: Station, addresses: AddressSource) {
    this.station = station
    this.#addresses = addresses
  }

  async address(use: AddressUse): Promise<SocketAddress> {
    return await this.#addresses(use)
  }

  // A call that throws must reject, as it does when the peer is another process.
  /* eslint-disable @typescript-eslint/require-await */

  async open(local: SocketAddress): Promise<PeerSocket> {
    return this.#hold(this.station.bound(local))
  }

  async listen(socket: PeerSocket, backlog: number): Promise<Status> {
    const held = this.#get(socket)
    if (held.event !== undefined) return held.socket.listen(backlog)
    held.event = startListening(held.socket, backlog)
    return 0
  }

  async accept(listener: PeerSocket, verdict: Verdict): Promise<PeerAccepted> {
    const { socket, event } = this.#get(listener)
    assert.ok(event !== undefined, 'the peer accepts at a socket that does not listen')
    let request: ConnectionRequest | undefined
    const accepted = await acceptNext(socket, event, (asked) => {
      request = asked
      return verdict
    })
    assert.ok(request !== undefined, 'the condition function was not called')
    if (!accepted.ok) return { status: accepted.error, socket: 0, request }
    return { status: 0, socket: this.#hold(accepted.value.socket), request }
  }

  async connect(socket: PeerSocket, to: SocketAddress, callerData: Uint8Array): Promise<Status> {
    const held = this.#get(socket)
    held.attempt = startConnect(held.socket, to, callerData)
    return held.attempt.status
  }

  async outcome(socket: PeerSocket): Promise<Outcome> {
    const { attempt } = this.#get(socket)
    assert.ok(attempt !== undefined, 'the peer has not connected the socket')
    return await attempt.outcome()
  }

  async write(socket: PeerSocket, offset: number, content: Uint8Array): Promise<Status> {
    return publish(this.#get(socket).socket, offset, content)
  }

  async signal(socket: PeerSocket): Promise<Status> {
    return this.#get(socket).socket.signal()
  }

  async receive(socket: PeerSocket): Promise<Status> {
    const overlapped = new Overlapped()
    const status = this.#get(socket).socket.receive(overlapped)
    if (status !== WSA.WSA_IO_PENDING) return status
    const { completed } = await this.station.upcalls.first(
      (record) => record.completed?.overlapped === overlapped,
    )
    return completed?.status ?? 0
  }

  async read(socket: PeerSocket, offset: number, length: number): Promise<Uint8Array> {
    return received(this.#get(socket).socket, offset, length)
  }

  async register(socket: PeerSocket, content: Uint8Array): Promise<number> {
    const near = this.#get(socket).socket
    const memory = valueOf(near.registerMemory(content.length), 'registerMemory')
    memory.bytes.set(content, memory.offset)
    assertStatus(near.rdmaWrite(memory, 0, content.length, null), 'success', 'rdmaWrite')
    return memory.descriptor
  }

  async expose(socket: PeerSocket, content: Uint8Array, access: RdmaAccess): Promise<number> {
    const held = this.#get(socket)
    const exposed = (held.exposed ??= [])
    let memory = exposed.find((each) => Buffer.compare(each, content) === 0)
    if (memory === undefined) exposed.push((memory = content.slice()))
    assert.ok(held.socket.registerRdmaMemory !== undefined, 'the peer cannot expose memory')
    return valueOf(held.socket.registerRdmaMemory(memory, access), 'registerRdmaMemory')
  }

  async conceal(socket: PeerSocket, descriptor: number): Promise<Status> {
    return this.#get(socket).socket.deregisterRdmaMemory?.(descriptor) ?? WSA.WSAEOPNOTSUPP
  }

  async close(socket: PeerSocket): Promise<Status> {
    return this.#get(socket).socket.close()
  }

  async end(): Promise<void> {
    this.station.stop()
  }

  /* eslint-enable @typescript-eslint/require-await */

  #hold(socket: SanSocket): PeerSocket {
    this.#count += 1
    this.#held.set(this.#count, { socket })
    return this.#count
  }

  #get(socket: PeerSocket): Held {
    const held = this.#held.get(socket)
    assert.ok(held !== undefined, `the peer has no socket ${socket}`)
    return held
  }
}

/** A far side in this process, over a provider of its own. */
export function localPeer(provider: SanProvider, addresses: AddressSource): LocalPeer {
  return new LocalPeer(new Station(provider), addresses)
}

/** Copies `content` into the send region of `socket` and publishes it. */
export function publish(socket: SanSocket, offset: number, content: Uint8Array): Status {
  const memory = socket.memory()
  if (!memory.ok) return memory.error
  const { send } = memory.value
  send.bytes.set(content, send.offset + offset)
  return socket.rdmaWrite(send, offset, content.length, null)
}

/** Copies bytes out of the receive region of `socket`. */
export function received(socket: SanSocket, offset: number, length: number): Uint8Array {
  const { receive } = valueOf(socket.memory(), 'memory')
  return receive.bytes.slice(receive.offset + offset, receive.offset + offset + length)
}

/** Full addresses at `host` with ports from `firstPort` up, one each call. */
export function countingAddresses(
  host: Pick<SocketAddress, 'family' | 'address'>,
  firstPort: number,
): AddressSource {
  let port = firstPort
  return () => ({ ...host, port: port++ })
}

import assert from 'node:assert/strict'

import { FD_ACCEPT, FD_CONNECT, SPI_VERSION, WSA, success } from '../src/spi/index.ts'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  Overlapped,
  ProviderData,
  Result,
  SanProvider,
  SanSocket,
  SocketAddress,
  Status,
  SwitchHandle,
} from '../src/spi/index.ts'
import { assertStatus, valueOf } from './check.ts'
import { RecordedEvent, RecordedUpcalls } from './recorder.ts'

/** How a connect ended. */
export interface Outcome {
  readonly status: Status
  readonly calleeData: Uint8Array
  /** When the socket was told, by {@link RecordedEvent.setAt}. */
  readonly at: bigint
}

/** A connect under way. */
export interface Attempt {
  /** What `connect` answered. */
  readonly status: Status
  readonly event: RecordedEvent
  outcome(): Promise<Outcome>
}

/** Selects `FD_CONNECT` and connects. */
export function startConnect(socket: SanSocket, to: SocketAddress, callerData: Uint8Array): Attempt {
  const event = new RecordedEvent()
  assertStatus(socket.eventSelect(event, FD_CONNECT), 'success', 'eventSelect(FD_CONNECT)')
  const status = socket.connect(to, callerData)
  const at = process.hrtime.bigint()
  return {
    status,
    event,
    async outcome() {
      if (status !== WSA.WSAEWOULDBLOCK) return { status, calleeData: socket.calleeData(), at }
      await event.wait()
      const { mask, connectStatus } = valueOf(socket.enumNetworkEvents(event), 'enumNetworkEvents')
      assert.equal(mask & FD_CONNECT, FD_CONNECT, 'the event was set without FD_CONNECT')
      return { status: connectStatus, calleeData: socket.calleeData(), at: event.setAt }
    },
  }
}

/** Selects `FD_ACCEPT`; waits until a request can be taken, and asks `condition`. */
export async function acceptNext(
  socket: SanSocket,
  event: RecordedEvent,
  condition: ConditionFunction,
): Promise<Result<Accepted>> {
  for (;;) {
    const accepted = socket.accept(condition)
    if (accepted.ok || accepted.error !== WSA.WSAEWOULDBLOCK) return accepted
    await event.wait()
    valueOf(socket.enumNetworkEvents(event), 'enumNetworkEvents')
  }
}

/** A started provider, its upcalls, and the sockets it made; knows at any time which down-calls are running. */
export class Station {
  readonly provider: SanProvider
  readonly upcalls = new RecordedUpcalls((handle) =>
    this.#running.includes(this.#socketOf.get(handle) ?? null),
  )
  readonly data: ProviderData
  readonly #running: (SanSocket | null)[] = []
  readonly #socketOf = new Map<SwitchHandle, SanSocket>()
  readonly #handleOf = new Map<SanSocket, SwitchHandle>()
  readonly #rawOf = new Map<SanSocket, SanSocket>()

  constructor(provider: SanProvider) {
    this.provider = provider
    this.data = valueOf(provider.startup({ version: SPI_VERSION, upcalls: this.upcalls }), 'startup')
  }

  /** A new socket, watched. */
  socket(family: AddressFamily): SanSocket {
    const before = this.upcalls.records.length
    return this.#adopt(valueOf(this.provider.socket({ family }), 'socket'), before)
  }

  /** A socket that takes over the connection left under `duplicate`, watched. */
  takeOver(family: AddressFamily, duplicate: Uint8Array): SanSocket {
    const before = this.upcalls.records.length
    return this.#adopt(valueOf(this.provider.socket({ family, duplicate }), 'socket'), before)
  }

  /** A new socket bound to `local`. */
  bound(local: SocketAddress): SanSocket {
    const socket = this.socket(local.family)
    assertStatus(socket.bind(local), 'success', 'bind')
    return socket
  }

  /** The switch descriptor made for `socket`. */
  handleOf(socket: SanSocket): SwitchHandle {
    const handle = this.#handleOf.get(socket)
    assert.ok(handle !== undefined, 'createSocketHandle was not called for the socket')
    return handle
  }

  /** What the provider returned where the test holds `socket`. */
  rawOf(socket: SanSocket): SanSocket {
    return this.#rawOf.get(socket) ?? socket
  }

  /** Closes what is open and gives the provider back, whatever state the test left it in. */
  stop(): void {
    for (const socket of this.#rawOf.values()) socket.close()
    this.provider.cleanup()
  }

  #adopt(raw: SanSocket, before: number): SanSocket {
    const watched = this.#watch(raw)
    this.#rawOf.set(watched, raw)
    const made = this.upcalls.records.slice(before).findLast((record) => record.call === 'createSocketHandle')
    if (made !== undefined) {
      this.#socketOf.set(made.handle, raw)
      this.#handleOf.set(watched, made.handle)
    }
    return watched
  }

  #watch(raw: SanSocket): SanSocket {
    const accept = (condition: ConditionFunction, pended?: Overlapped): Result<Accepted> => {
      const before = this.upcalls.records.length
      const accepted = raw.accept(condition, pended)
      return accepted.ok
        ? success({ ...accepted.value, socket: this.#adopt(accepted.value.socket, before) })
        : accepted
    }
    return new Proxy(raw, {
      get: (target, key) => {
        const member: unknown = key === 'accept' ? accept : Reflect.get(target, key, target)
        if (typeof member !== 'function') return member
        return (...args: unknown[]): unknown => {
          this.#running.push(target)
          try {
            return Reflect.apply(member, target, args)
          } finally {
            this.#running.pop()
          }
        }
      },
    })
  }
}

/** Makes `socket` listen, signalling the event returned. */
export function startListening(socket: SanSocket, backlog: number): RecordedEvent {
  assertStatus(socket.listen(backlog), 'success', 'listen')
  const event = new RecordedEvent()
  assertStatus(socket.eventSelect(event, FD_ACCEPT), 'success', 'eventSelect(FD_ACCEPT)')
  return event
}

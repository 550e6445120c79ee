/** A provider in the test's own process, without a switch above it: the test says when it accepts and what time it is. */
import type { Clock } from '../../src/base/clock.ts'
import { ShmProvider, shm } from '../../src/providers/shm/index.ts'
import type { ShmLimits } from '../../src/providers/shm/index.ts'
import { FD_ACCEPT, SPI_VERSION } from '../../src/spi/index.ts'
import type {
  Accepted,
  EventObject,
  Overlapped,
  Result,
  SanSocket,
  Status,
  Upcalls,
} from '../../src/spi/index.ts'
import { HELLO, HOST, endpoint } from './hostile-peer.ts'
import { native } from './channel.ts'

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>()

  now(): number {
    return this.#now
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { at: this.#now + delayMs, action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  advance(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now || !this.#timers.delete(timer)) continue
      timer.action()
    }
  }
}

/** An event that only remembers. */
export class PlainEvent implements EventObject {
  isSet = false
  set(): void {
    this.isSet = true
  }
  reset(): void {
    this.isSet = false
  }
}

/** The upcalls of a switch that does nothing but complete operations. */
export class PlainUpcalls implements Upcalls {
  open = 0
  readonly #contexts = new WeakMap<object, object>()

  createSocketHandle(context: object): ReturnType<Upcalls['createSocketHandle']> {
    this.open += 1
    const handle = {}
    this.#contexts.set(handle, context)
    return { ok: true, value: handle as never }
  }
  querySocketHandleContext(handle: object): Result<object> {
    const context = this.#contexts.get(handle)
    return context === undefined ? { ok: false, error: 10038 } : { ok: true, value: context }
  }
  completeOverlappedRequest(_: object, overlapped: Overlapped, status: Status, bytes: number): Status {
    overlapped.completed?.(status, bytes)
    return 0
  }
  closeSocketHandle(): Status {
    this.open -= 1
    return 0
  }
}

let lastPort = 10_000

export class ProviderVictim {
  readonly clock = new ManualClock()
  readonly upcalls = new PlainUpcalls()
  readonly provider: ShmProvider
  readonly #sockets: SanSocket[] = []

  constructor(limits: Partial<ShmLimits> = {}) {
    this.provider = shm({ native, limits, clock: this.clock, spinMicroseconds: 0 })
    this.provider.startup({ version: SPI_VERSION, upcalls: this.upcalls })
  }

  socket(): SanSocket {
    const made = this.provider.socket({ family: 'IPv4' })
    if (!made.ok) throw new Error(`Cannot make a socket: ${made.error}`)
    this.#sockets.push(made.value)
    return made.value
  }

  /** A listening socket, at a port that only the provider knows of. */
  listen(backlog = 100): { readonly listener: SanSocket; readonly port: number; readonly event: PlainEvent } {
    lastPort += 1
    const port = lastPort
    const listener = this.socket()
    const event = new PlainEvent()
    for (const status of [
      listener.bind(endpoint(HOST, port)),
      listener.listen(backlog),
      listener.eventSelect(event, FD_ACCEPT),
    ]) {
      if (status !== 0) throw new Error(`Cannot listen: ${status}`)
    }
    return { listener, port, event }
  }

  accept(listener: SanSocket): Result<Accepted> {
    const accepted = listener.accept(() => ({ decision: 'CF_ACCEPT', calleeData: HELLO }))
    if (accepted.ok) this.#sockets.push(accepted.value.socket)
    return accepted
  }

  /** Closes everything; the provider can then be judged by what is left. */
  close(): void {
    for (const socket of this.#sockets) socket.close()
    this.provider.cleanup()
  }
}

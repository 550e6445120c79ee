import { invariant } from '../../base/invariant.ts'
import * as native from '../../native/fabric.ts'
import type { Fabric, FabricCounters, FabricDevice } from '../../native/fabric.ts'
import type { Watcher } from '../../native/shm.ts'
import type { Notifiable, Turns } from '../../native/turns.ts'
import type { Link } from './link.ts'

const NO_COUNTERS: FabricCounters = {
  messagesSent: 0,
  messagesReceived: 0,
  writes: 0,
  writtenBytes: 0,
  reads: 0,
  readBytes: 0,
  completions: 0,
  retries: 0,
  errors: 0,
}

/** Who hears of what happens at the endpoints. */
export interface EventSink {
  /** libfabric has answered that it does not run here, with this errno. */
  unavailable(errno: number): void
  /** Somebody wants a link, at this listener. */
  asked(request: number, listener: number): void
  link(id: number): Link | undefined
}

/** The endpoints of this event loop, and their events: one in a turn, or one batch where somebody polls. */
export class Endpoints implements Notifiable {
  readonly withinLoop = false
  readonly #make: () => Fabric
  readonly #turns: Turns
  readonly #spinNanoseconds: number
  readonly #sink: EventSink
  #fabric: Fabric | undefined
  #events = new Int32Array(2)
  /** Tells of the answer that nobody has heard yet. */
  #answer: Watcher | undefined
  #watcher: Watcher | undefined
  #index = -1
  /** True inside {@link progress}. */
  isPolling = false

  constructor(make: () => Fabric, turns: Turns, spinMicroseconds: number, sink: EventSink) {
    this.#make = make
    this.#turns = turns
    this.#spinNanoseconds = spinMicroseconds * 1000
    this.#sink = sink
  }

  get fabric(): Fabric {
    invariant(this.#fabric, 'the provider was started')
    return this.#fabric
  }

  /** What libfabric's provider runs on, once it has answered. */
  get devices(): readonly FabricDevice[] {
    return this.#watcher === undefined ? [] : this.fabric.devices()
  }

  get counters(): FabricCounters {
    return this.#fabric?.stats() ?? NO_COUNTERS
  }

  /** libfabric is asked what it can from here on, on a thread of its own. */
  start(): void {
    const fabric = this.#make()
    this.#fabric = fabric
    this.#events = new Int32Array(fabric.events())
    this.#index = this.#turns.add(this)
    this.#turns.poller.addSource(fabric.source, this.#spinNanoseconds)
    if (fabric.answeredFd < 0) return
    this.#answer = this.#turns.watch(fabric.answeredFd, () => {
      this.#heard()
      if (!this.open()) this.#sink.unavailable(-fabric.open())
    })
  }

  #heard(): void {
    this.#answer?.close()
    this.#answer = undefined
  }

  /** libfabric has answered, and whoever had to know of it does: {@link open} does not wait. */
  get answered(): boolean {
    return this.#answer === undefined && this.fabric.answered
  }

  /** Waits for libfabric's first answer where it is not there yet; false when it does not run here. */
  open(): boolean {
    if (this.fabric.open() !== 0) return false
    this.#heard()
    this.#watcher ??= this.#turns.watch(this.fabric.eventFd, () => {
      // The poller looks for work after every wake-up.
    })
    return true
  }

  stop(): void {
    const fabric = this.fabric
    this.#turns.remove(this.#index)
    this.#turns.poller.removeSource(fabric.source)
    this.#heard()
    this.#watcher?.close()
    this.#watcher = undefined
    this.#fabric = undefined
    // Sockets of the last links hear of their end in turns of their own, and give the memory back.
    this.#turns.schedule(() => {
      fabric.destroy()
    })
  }

  /** Takes one event, in a turn of its own. */
  dispatchOne(): boolean {
    const events = this.#events
    const index = events[1] ?? 0
    if (index >= (events[0] ?? 0)) return false
    events[1] = index + 1
    const at = 2 + index * 4
    const kind = events[at]
    const id = events[at + 1] ?? 0
    const a = events[at + 2] ?? 0
    if (kind === native.EVENT_REQUEST) this.#sink.asked(id, a)
    const link = this.#sink.link(id)
    if (link === undefined) return true
    switch (kind) {
      case native.EVENT_RECEIVED:
        link.received(a, events[at + 3] ?? 0)
        break
      case native.EVENT_ROOM:
        link.roomMade()
        break
      case native.EVENT_READ:
        link.readDone(a)
        break
      case native.EVENT_CONNECTED:
        link.connected()
        break
      case native.EVENT_ENDED:
        link.endpointEnded(a)
        break
      default:
        break
    }
    return true
  }

  /** Handles one batch of what has arrived, and tells nobody from inside this call: whoever polls asks again. */
  progress(): void {
    this.isPolling = true
    try {
      this.fabric.poll()
      while (this.dispatchOne());
    } finally {
      this.isPolling = false
    }
  }
}

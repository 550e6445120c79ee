import type { Reason } from '../../switch/reasons.ts'
import type { Switch } from '../../switch/switch.ts'
import { Bridge, putPairUnder } from './bridge.ts'
import type { PairEnd } from './bridge.ts'
import { Connecting } from './connecting.ts'
import { Connection } from './connection.ts'
import type { ConnectionEnvironment, NativeCall } from './connection.ts'
import { Grafter, connectionOf, installWrites } from './graft.ts'
import { installHandOffs } from './hand-off.ts'
import { HandOver } from './hand-over.ts'
import { findInternals } from './internals.ts'
import type { Internals, TcpHandle } from './internals.ts'
import { Listening } from './listening.ts'
import type { ListenerReport } from '../../switch/face.ts'
import { Liveness } from '../../base/liveness.ts'
import { NativeUse } from './native-use.ts'
import { ReservedPorts } from './reserved-ports.ts'
import type { HostTcp } from './reserved-ports.ts'
import { afterClose, hookClose, noteReason, reasonOf } from './surroundings.ts'
import type { Surroundings } from './surroundings.ts'
import { takeOver } from './take-over.ts'

export interface NetFaceOptions {
  readonly switch: Switch
  readonly host: HostTcp
  readonly schedule: (job: () => void) => void
  /** As `schedule`, but before everything else that waits. */
  readonly soon: (job: () => void) => void
  /** Makes the call of native code that is prepared soon, outside of any callback. */
  readonly scheduleOutside: (prepare: () => NativeCall | undefined) => void
  readonly keepAlive: (on: boolean) => void
}

/**
 * The face for unmodified programs: sits under `node:net`, between its JavaScript and its native handles, and lets the
 * switch decide about each listen and connect. Everything above the handles stays Node's own.
 */
export class NetFace {
  readonly connections = new Set<Connection>()
  readonly #options: NetFaceOptions
  readonly #internals: Internals
  readonly #environment: ConnectionEnvironment
  readonly #grafter: Grafter
  readonly #native: NativeUse
  readonly #connecting: Connecting
  readonly #listening: Listening
  readonly #surroundings: Surroundings
  readonly #handOvers = new Set<HandOver>()

  /** @param covers Which sockets and servers are this face's business. */
  constructor(options: NetFaceOptions, covers: (owner: object | undefined) => boolean) {
    this.#options = options
    this.#internals = findInternals()
    this.#environment = {
      internals: this.#internals,
      liveness: new Liveness(options.keepAlive),
      schedule: options.schedule,
      soon: options.soon,
      scheduleOutside: options.scheduleOutside,
    }
    this.#native = new NativeUse(this.#internals)
    this.#grafter = new Grafter(this.#internals, (handle) => {
      this.#native.asked(handle)
    })
    const surroundings: Surroundings = {
      switch: options.switch,
      internals: this.#internals,
      environment: this.#environment,
      native: this.#native,
      ports: new ReservedPorts(options.host),
      covers,
      adopt: (handle: TcpHandle, parts: Omit<Connection['parts'], 'handle'>) => {
        this.#adopt(handle, parts)
      },
    }
    this.#surroundings = surroundings
    this.#connecting = new Connecting(surroundings)
    this.#listening = new Listening(surroundings)
  }

  /** Puts the face under `node:net`. From now on it sees every TCP handle of the process. */
  install(): void {
    installWrites()
    this.#native.install()
    this.#connecting.install()
    this.#listening.install()
    hookClose(this.#internals)
    installHandOffs({
      handOver: (handle, isKept) => this.#handOver(handle, isKept),
      bridge: (handle) => {
        this.bridge(handle)
      },
      takeOver: (descriptor, offer, done) => {
        takeOver(this.#surroundings, descriptor, offer, done)
      },
    })
  }

  /** Takes note of what was made under `owner` before this was installed. */
  claimed(owner: object): void {
    this.#native.learn(owner)
  }

  listeners(): ListenerReport[] {
    return this.#listening.listeners()
  }

  /** Why TCP/IP carries the connection of this handle; undefined when the switch never had a say. */
  reasonOf(handle: TcpHandle): Reason | undefined {
    return reasonOf(handle)
  }

  /** Publishes the end of every stream, for a process that is about to end. */
  farewell(): void {
    for (const handOver of this.#handOvers) handOver.abandon()
    for (const connection of this.connections) connection.session.close()
  }

  #adopt(handle: TcpHandle, parts: Omit<Connection['parts'], 'handle'>): void {
    const connection: Connection = new Connection(this.#environment, {
      ...parts,
      handle,
      release: () => {
        this.connections.delete(connection)
        parts.release()
      },
    })
    this.connections.add(connection)
    this.#grafter.graft(handle, connection)
  }

  /** Puts a genuine descriptor under a grafted handle, for native code that wants one; no byte is lost. */
  bridge(handle: TcpHandle): void {
    const connection = connectionOf(handle)
    if (connection === undefined) return
    const end = this.#putPairUnder(handle, connection)
    end.readOn()
    new Bridge(connection, end)
    noteReason(handle, 'bridged')
    this.#bridged()
  }

  #handOver(handle: TcpHandle, isKept: boolean): HandOver | undefined {
    const connection = connectionOf(handle)
    if (isKept) this.bridge(handle)
    if (isKept || connection === undefined) return undefined
    const handOver = new HandOver(connection, this.#putPairUnder(handle, connection), (how) => {
      this.#handOvers.delete(handOver)
      if (how === 'bridged') this.#bridged()
    })
    this.#handOvers.add(handOver)
    afterClose(handle, () => {
      handOver.released()
    })
    return handOver
  }

  #putPairUnder(handle: TcpHandle, connection: Connection): PairEnd {
    const ungraft = (grafted: TcpHandle): void => {
      this.#grafter.ungraft(grafted)
    }
    return putPairUnder(handle, connection, { internals: this.#internals, host: this.#options.host, ungraft })
  }

  #bridged(): void {
    this.#options.switch.stats.stayed('bridged')
  }
}

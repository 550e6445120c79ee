import { systemClock } from '../../base/clock.ts'
import type { Clock } from '../../base/clock.ts'
import { step } from '../../base/machine.ts'
import type { StateOf, Table } from '../../base/machine.ts'
import type { TcpipProvider } from '../../spi/index.ts'
import type { ConnectionReport, Face, ListenerReport } from '../../switch/face.ts'
import type { Switch } from '../../switch/switch.ts'
import type { Out } from './buffer.ts'
import { Client } from './client.ts'
import * as wsk from './constants.ts'
import { Dispatcher } from './dispatcher.ts'
import type { Chaos } from './dispatcher.ts'
import type { Kit, Liveness } from './kit.ts'
import { VERSION, providerDispatch } from './provider-dispatch.ts'
import type { WskClientNpi, WskProviderCharacteristics, WskProviderNpi } from './provider-dispatch.ts'
import { AddressTable } from './sharing.ts'
import type { SocketCore } from './socket.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'
import { Transports } from './transports.ts'

/** What a {@link Wsk} is made of; a test hands in its own. */
export interface WskOptions {
  readonly switch: Switch
  readonly tcpip: TcpipProvider
  /** Runs a job soon, in a turn of its own; `setImmediate` unless a provider knows better. */
  readonly schedule?: (job: () => void) => void
  readonly clock?: Clock
  readonly liveness?: Liveness
  /** False: captures wait until {@link Wsk.start}. */
  readonly ready?: boolean
  /** Connections that wait for somebody to take them, per listener. 128 unless said otherwise. */
  readonly backlog?: number
  /** Over TCP/IP a request is judged once its connection stands: `emulated`; or SO_CONDITIONAL_ACCEPT is not supported. */
  readonly conditionalAccept?: 'emulated' | 'none'
  /** How long a request may be pended, in ms; 60 s unless said otherwise. */
  readonly inspectTimeoutMs?: number
  /** What a client may hold of received bytes before its peer is held back; SO_RCVBUF says it per socket. */
  readonly receiveWindowBytes?: number
  /** No request is over before its function has returned: for tests of clients. */
  readonly alwaysPending?: boolean
  /** Varies every order that is open: for tests of clients. */
  readonly chaos?: Chaos
  /** Hears what callbacks and completion routines throw; unless given, the process does. */
  readonly onError?: (error: unknown) => void
}

/** Which event is legal when, for a registration; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  unregistered: { register: 'registered' },
  registered: { deregister: 'deregistering' },
  /** Waits for what the client still has. */
  deregistering: { through: 'unregistered' },
} as const satisfies Table

/** One registration of a client with a provider; the client keeps it until it has deregistered. @source WSK_REGISTRATION */
export class WskRegistration {
  /** @internal The provider's; nobody else's business. */
  readonly inner: {
    state: StateOf<typeof TRANSITIONS>
    version: number
    client: Client | undefined
    waiting: Set<() => void>
  } = { state: 'unregistered', version: 0, client: undefined, waiting: new Set() }
}

/** The WSK subsystem: where clients register. Several may live in one process; none is global. */
export class Wsk implements Face {
  /** What sockets can be made of; taking one away closes its sockets by force. */
  readonly transports = new Transports()
  readonly #kit: Kit
  readonly #waiting = new Set<() => void>()
  readonly #clients = new Set<Client>()
  #ready: boolean

  constructor(options: WskOptions) {
    const schedule = options.schedule ?? ((job: () => void) => setImmediate(job))
    this.#kit = {
      switch: options.switch,
      tcpip: options.tcpip,
      dispatcher: new Dispatcher({
        schedule,
        ...(options.alwaysPending !== undefined && { alwaysPending: options.alwaysPending }),
        ...(options.chaos && { chaos: options.chaos }),
        ...(options.onError && { onError: options.onError }),
      }),
      addresses: new AddressTable(),
      transports: this.transports,
      clock: options.clock ?? systemClock,
      liveness: options.liveness ?? NO_LIVENESS,
      backlog: options.backlog ?? 128,
      conditionalAccept: options.conditionalAccept ?? 'emulated',
      inspectTimeoutMs: options.inspectTimeoutMs ?? 60_000,
      receiveWindowBytes: options.receiveWindowBytes ?? 64 << 10,
    }
    this.#ready = options.ready ?? true
  }

  /** How a request is judged before it is a connection, by who carries it (WSK §12 D-11). */
  get conditionalAccept(): { readonly san: 'native'; readonly tcpip: 'emulated' | 'none' } {
    return { san: 'native', tcpip: this.#kit.conditionalAccept }
  }

  /** The provider is there: captures that wait for it go on. */
  start(): void {
    this.#ready = true
    for (const wake of [...this.#waiting]) wake()
  }

  /** @source WskRegister; WSK-REG-1 to -3 */
  WskRegister(npi: WskClientNpi, registration: WskRegistration): NtStatus {
    const { inner } = registration
    if (inner.state !== 'unregistered') return STATUS.STATUS_INVALID_PARAMETER
    inner.state = step('registration', TRANSITIONS, inner.state, 'register')
    inner.version = npi.dispatch.version
    inner.client = new Client(this.#kit)
    this.#clients.add(inner.client)
    return STATUS.STATUS_SUCCESS
  }

  /**
   * Gives the client object and the functions, once the provider is there.
   *
   * @param waitMs `WSK_NO_WAIT`: the answer comes at once, as a value; else a promise: so many ms, or `WSK_INFINITE_WAIT`.
   * @source WskCaptureProviderNPI; WSK-REG-5 to -8, -13, -15
   */
  WskCaptureProviderNPI(
    registration: WskRegistration,
    waitMs: typeof wsk.WSK_NO_WAIT,
    npi: Out<WskProviderNpi>,
  ): NtStatus
  WskCaptureProviderNPI(
    registration: WskRegistration,
    waitMs: number,
    npi: Out<WskProviderNpi>,
  ): Promise<NtStatus>
  WskCaptureProviderNPI(
    registration: WskRegistration,
    waitMs: number,
    npi: Out<WskProviderNpi>,
  ): NtStatus | Promise<NtStatus> {
    const { inner } = registration
    const now = (): NtStatus => this.#capture(registration, npi)
    if (waitMs === wsk.WSK_NO_WAIT) return now()
    if (this.#ready || inner.state !== 'registered') return Promise.resolve(now())
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        inner.waiting.delete(wake)
        cancel?.()
        resolve(now())
      }
      const cancel = waitMs === wsk.WSK_INFINITE_WAIT ? undefined : this.#kit.clock.after(waitMs, wake)
      this.#waiting.add(wake)
      inner.waiting.add(wake)
    })
  }

  #capture({ inner }: WskRegistration, npi: Out<WskProviderNpi>): NtStatus {
    if (!this.#ready || inner.state !== 'registered' || inner.client === undefined) {
      return STATUS.STATUS_DEVICE_NOT_READY
    }
    const sameMajor = wsk.WSK_MAJOR_VERSION(inner.version) === wsk.WSK_MAJOR_VERSION(VERSION)
    if (!sameMajor || wsk.WSK_MINOR_VERSION(inner.version) > wsk.WSK_MINOR_VERSION(VERSION)) {
      return STATUS.STATUS_NOINTERFACE
    }
    inner.client.capture()
    npi.value = { client: inner.client, dispatch: providerDispatch }
    return STATUS.STATUS_SUCCESS
  }

  /** Once for each capture; sockets that were made stay usable. @source WskReleaseProviderNPI; WSK-REG-9, -10 */
  WskReleaseProviderNPI(registration: WskRegistration): void {
    if (registration.inner.client?.releaseCapture() === true) return
    throw new Error('Cannot release the provider: it is not captured')
  }

  /** Which versions there are. @source WskQueryProviderCharacteristics */
  WskQueryProviderCharacteristics(
    registration: WskRegistration,
    characteristics: Out<WskProviderCharacteristics>,
  ): NtStatus {
    if (!this.#ready || registration.inner.state !== 'registered') return STATUS.STATUS_DEVICE_NOT_READY
    characteristics.value = { highestVersion: VERSION, lowestVersion: VERSION }
    return STATUS.STATUS_SUCCESS
  }

  /**
   * Ends a registration: over when every capture is released, every socket closed, and every request through. It closes no
   * socket itself.
   *
   * @source WskDeregister; WSK-REG-11 to -14
   */
  async WskDeregister(registration: WskRegistration): Promise<void> {
    const { inner } = registration
    const { client } = inner
    if (inner.state !== 'registered' || client === undefined) {
      throw new Error('Cannot deregister: the client is not registered')
    }
    inner.state = step('registration', TRANSITIONS, inner.state, 'deregister')
    for (const wake of [...inner.waiting]) wake()
    await new Promise<void>((resolve) => {
      client.end(resolve)
    })
    this.#clients.delete(client)
    inner.client = undefined
    inner.state = step('registration', TRANSITIONS, inner.state, 'through')
  }

  // --- in the eyes of the process -----------------------------------------------------------------------------------

  #sockets(): SocketCore[] {
    return [...this.#clients].flatMap((client) => [...client.sockets])
  }
  /** @internal */
  listeners(): ListenerReport[] {
    return this.#sockets().flatMap(({ listenerReport }) => listenerReport ?? [])
  }
  /** @internal */
  connections(): ConnectionReport[] {
    return this.#sockets().flatMap(({ connectionReport }) => connectionReport ?? [])
  }
  /** @internal */
  farewell(): void {
    for (const socket of this.#sockets()) socket.farewell()
  }
}

const NO_LIVENESS: Liveness = { hold: () => undefined, release: () => undefined }

/** Makes a WSK subsystem over a switch and TCP/IP. */
export function createWsk(options: WskOptions): Wsk {
  return new Wsk(options)
}

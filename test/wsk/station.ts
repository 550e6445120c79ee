import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'

import { loopback } from '../../src/providers/loopback/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import type { SanProvider } from '../../src/spi/index.ts'
import { Switch } from '../../src/switch/switch.ts'
import * as wsk from '../../src/faces/wsk/index.ts'
import type {
  CategoryFlag,
  ClientDispatchFor,
  IrpSink,
  NtStatus,
  SocketFor,
  WskConnectionSocket,
  WskListenSocket,
  WskOptions,
  WskProviderNpi,
} from '../../src/faces/wsk/index.ts'
import { Liveness } from '../../src/base/liveness.ts'
import type { Turns } from '../../src/native/turns.ts'
import { fabricProvider, noFabric } from '../support/fabric-provider.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { deferred, within } from '../support/waiting.ts'

/** Who carries the connections of a test. */
export const CARRIERS = ['tcpip', 'loopback', 'shm', 'fabric'] as const
export type Carrier = (typeof CARRIERS)[number]

/** Why nothing can be carried so here; false when it can. For the `skip` of a test. */
export function cannotCarry(carrier: Carrier): string | false {
  return carrier === 'fabric' && NO_FABRIC
}
const NO_FABRIC = noFabric()

const LIMIT_MS = 10_000

export interface StationOptions extends Partial<WskOptions> {
  readonly version?: number
}

/** A client of WSK that has registered and captured; what it opened is closed with the test. */
export class Station {
  readonly wsk: wsk.Wsk
  readonly switch: Switch
  readonly registration = new wsk.WskRegistration()
  readonly npi: WskProviderNpi
  /** What callbacks and completion routines threw. */
  readonly errors: unknown[] = []
  readonly #open = new Set<wsk.WskAnySocket>()

  constructor(test: TestContext, carrier: Carrier, options: StationOptions = {}) {
    const made = switchFor(carrier)
    this.switch = made.switch
    this.wsk = wsk.createWsk({
      switch: made.switch,
      tcpip: tcpip(),
      schedule: made.schedule,
      onError: (error) => this.errors.push(error),
      ...(made.liveness && { liveness: made.liveness }),
      ...options,
    })
    const dispatch = { version: options.version ?? wsk.MAKE_WSK_VERSION(1, 0) }
    assert.equal(
      this.wsk.WskRegister({ clientContext: this, dispatch }, this.registration),
      wsk.STATUS_SUCCESS,
    )
    const npi = wsk.out<WskProviderNpi>()
    assert.equal(this.wsk.WskCaptureProviderNPI(this.registration, wsk.WSK_NO_WAIT, npi), wsk.STATUS_SUCCESS)
    assert.ok(npi.value)
    this.npi = npi.value
    test.after(() => this.#end())
  }

  async #end(): Promise<void> {
    for (const socket of [...this.#open]) await this.close(socket)
    this.wsk.WskReleaseProviderNPI(this.registration)
    await within(this.wsk.WskDeregister(this.registration), LIMIT_MS, 'the deregistration')
    this.switch.close()
    assert.deepEqual(this.errors, [])
  }

  /** A socket of the category that the flag says. */
  async socket<F extends CategoryFlag>(
    flags: F,
    { dispatch = null, context, family = wsk.AF_INET }: SocketOptions<F> = {},
  ): Promise<SocketFor<F>> {
    const datagram = flags === wsk.WSK_FLAG_DATAGRAM_SOCKET
    const socket = await this.call<SocketFor<F>>((irp) =>
      this.npi.dispatch.WskSocket(
        this.npi.client,
        family,
        datagram ? wsk.SOCK_DGRAM : wsk.SOCK_STREAM,
        datagram ? wsk.IPPROTO_UDP : wsk.IPPROTO_TCP,
        flags,
        context ?? null,
        dispatch,
        null,
        null,
        null,
        irp,
      ),
    )
    this.keep(socket)
    return socket
  }

  /** Closes `socket` when the test ends, unless it was closed. */
  keep(socket: wsk.WskAnySocket): void {
    this.#open.add(socket)
  }

  async close(socket: wsk.WskAnySocket): Promise<void> {
    this.#open.delete(socket)
    const outcome = await outcomeOf((irp: IrpSink<0>) => socket.dispatch.WskCloseSocket(socket, irp))
    assert.ok([wsk.STATUS_SUCCESS, wsk.STATUS_INVALID_HANDLE].includes(outcome.status))
  }

  /** Calls a function, and waits for what its IRP says. */
  async call<T>(start: (irp: wsk.Irp<T>) => NtStatus): Promise<T> {
    const irp = new wsk.Irp<T>()
    const promise = irp.promise()
    start(irp)
    return within(promise, LIMIT_MS, `the request ${start.toString()}`)
  }

  /** A listening socket at a port of its own. */
  async listener(
    options: SocketOptions<1> & { readonly conditional?: boolean } = {},
  ): Promise<Bound<WskListenSocket>> {
    const socket = await this.socket(wsk.WSK_FLAG_LISTEN_SOCKET, options)
    if (options.conditional === true) await this.set(socket, wsk.SO_CONDITIONAL_ACCEPT, 1)
    return this.bind(socket)
  }

  async bind<S extends Exclude<wsk.WskAnySocket, wsk.WskBasicSocket>>(
    socket: S,
    address = wsk.sockAddr('127.0.0.1', 0),
  ): Promise<Bound<S>> {
    const any = socket as unknown as WskConnectionSocket
    await this.call<0>((irp) => any.dispatch.WskBind(any, address, 0, irp))
    return { socket, address: await this.localAddress(socket) }
  }

  async localAddress(socket: Exclude<wsk.WskAnySocket, wsk.WskBasicSocket>): Promise<wsk.SockAddr> {
    const any = socket as unknown as WskConnectionSocket
    const local = wsk.out<wsk.SockAddr>()
    await this.call<0>((irp) => any.dispatch.WskGetLocalAddress(any, local, irp))
    assert.ok(local.value)
    return local.value
  }

  /** A connection-oriented socket that is connected to `remote`. */
  async connect(
    remote: wsk.SockAddr,
    options: SocketOptions<2> = {},
    local = wsk.sockAddr('127.0.0.1', 0),
  ): Promise<WskConnectionSocket> {
    const socket = await this.socket(wsk.WSK_FLAG_CONNECTION_SOCKET, options)
    await this.bind(socket, local)
    await this.call<0>((irp) => socket.dispatch.WskConnect(socket, remote, 0, irp))
    return socket
  }

  async accept(
    listener: WskListenSocket,
    options: { context?: unknown; dispatch?: wsk.WskClientConnectionDispatch | null } = {},
  ): Promise<WskConnectionSocket> {
    const { context, dispatch = null } = options
    const socket = await this.call<WskConnectionSocket>((irp) =>
      listener.dispatch.WskAccept(listener, 0, context, dispatch, null, null, irp),
    )
    this.keep(socket)
    return socket
  }

  /** A connection, both ends: the one that connected, and the one that accepted. */
  async pair(
    here: SocketOptions<2> = {},
    there: { context?: unknown; dispatch?: wsk.WskClientConnectionDispatch | null } = {},
  ): Promise<readonly [WskConnectionSocket, WskConnectionSocket]> {
    const { socket, address } = await this.listener()
    const [near, far] = await Promise.all([this.connect(address, here), this.accept(socket, there)])
    await this.close(socket)
    return [near, far]
  }

  async set(
    socket: wsk.WskAnySocket,
    code: number,
    value: wsk.ControlInput,
    level: number = wsk.SOL_SOCKET,
  ): Promise<void> {
    await this.call<number>((irp) =>
      socket.dispatch.WskControlSocket(socket, wsk.WskSetOption, code, level, value, null, irp),
    )
  }

  async get(socket: wsk.WskAnySocket, code: number, level: number = wsk.SOL_SOCKET): Promise<unknown> {
    const value = wsk.out<unknown>()
    await this.call<number>((irp) =>
      socket.dispatch.WskControlSocket(socket, wsk.WskGetOption, code, level, null, value, irp),
    )
    return value.value
  }

  /** What is received until there are `bytes`, or the peer's end. */
  async receive(socket: WskConnectionSocket, bytes: number): Promise<Buffer> {
    const buffer = Buffer.alloc(bytes)
    let done = 0
    while (done < bytes) {
      const room = wsk.wskBuf(buffer, done)
      const length = await this.call<number>((irp) => socket.dispatch.WskReceive(socket, room, 0, irp))
      if (length === 0) break
      done += length
    }
    return buffer.subarray(0, done)
  }

  async send(socket: WskConnectionSocket, bytes: Uint8Array | string): Promise<number> {
    const buffer = wsk.wskBuf(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    return this.call<number>((irp) => socket.dispatch.WskSend(socket, buffer, 0, irp))
  }

  /** Waits until `bytes` have arrived that nobody has taken. */
  async arrived(socket: WskConnectionSocket, bytes: number): Promise<void> {
    const backlog = wsk.out<number>()
    const { WskControlSocket } = socket.dispatch
    do {
      await turns(1)
      await this.call<number>((irp) =>
        WskControlSocket(socket, wsk.WskIoctl, wsk.SIO_WSK_QUERY_RECEIVE_BACKLOG, 0, null, backlog, irp),
      )
    } while ((backlog.value ?? 0) < bytes)
  }

  async disconnect(socket: WskConnectionSocket, flags: 0 | 1 = 0): Promise<void> {
    await this.call<0>((irp) => socket.dispatch.WskDisconnect(socket, null, flags, irp))
  }

  /** Enables or disables callbacks, without an IRP. */
  events(socket: wsk.WskAnySocket, eventMask: number, irp: IrpSink<number> | null = null): NtStatus {
    return events(socket, eventMask, irp)
  }
}

export interface SocketOptions<F extends CategoryFlag> {
  readonly dispatch?: ClientDispatchFor<F> | null
  readonly context?: unknown
  readonly family?: number
}

export interface Bound<S> {
  readonly socket: S
  readonly address: wsk.SockAddr
}

export function events(
  socket: wsk.WskAnySocket,
  eventMask: number,
  irp: IrpSink<number> | null = null,
): NtStatus {
  const control = { npiId: wsk.NPI_WSK_INTERFACE_ID, eventMask }
  return socket.dispatch.WskControlSocket(
    socket,
    wsk.WskSetOption,
    wsk.SO_WSK_EVENT_CALLBACK,
    wsk.SOL_SOCKET,
    control,
    null,
    irp,
  )
}

export interface Outcome {
  /** What the function answered. */
  readonly returned: NtStatus
  readonly status: NtStatus
  readonly information: unknown
}

/** Calls a function, and waits until its IRP is completed, however it ends. */
export function outcomeOf<T>(start: (irp: wsk.Irp<T>) => NtStatus): Promise<Outcome> {
  return begin(start).outcome
}

/** Calls a function: its IRP, and the promise of how it ends. */
export function begin<T>(start: (irp: wsk.Irp<T>) => NtStatus): {
  readonly irp: wsk.Irp<T>
  readonly returned: NtStatus
  readonly outcome: Promise<Outcome>
} {
  const irp = new wsk.Irp<T>()
  let settle!: () => void
  const over = new Promise<void>((resolve) => {
    settle = resolve
  })
  irp.setCompletionRoutine(() => {
    settle()
    return wsk.STATUS_MORE_PROCESSING_REQUIRED
  })
  const returned = start(irp)
  const outcome = within(over, LIMIT_MS, `the request ${start.toString()}`).then(() => ({
    returned,
    ...irp.ioStatus,
  }))
  return { irp, returned, outcome }
}

interface MadeSwitch {
  readonly switch: Switch
  readonly schedule: (job: () => void) => void
  readonly liveness?: { hold(): void; release(): void }
}

function switchFor(carrier: Carrier): MadeSwitch {
  const plain = (san: readonly SanProvider[]): MadeSwitch => ({
    switch: new Switch({ san }),
    schedule: (job) => setImmediate(job),
  })
  switch (carrier) {
    case 'tcpip':
      return plain([])
    case 'loopback':
      return plain([loopback({})])
    case 'shm':
      return withTurns(shmProvider())
    case 'fabric':
      return withTurns(fabricProvider())
  }
}

function withTurns(provider: SanProvider & { readonly turns: Turns }): MadeSwitch {
  const { turns } = provider
  const { schedule } = turns
  const liveness = new Liveness((on) => {
    turns.poller.keepAlive(on)
  })
  // A peer in this very process, on a busy machine, is late and not gone.
  const theSwitch = new Switch({ san: [provider], schedule, connectTimeoutMs: LIMIT_MS })
  return { switch: theSwitch, schedule, liveness }
}

/** A test that holds whoever carries the connections: run once per carrier. */
export function overEach(
  title: string,
  run: (
    station: Station,
    context: { readonly test: TestContext; readonly carrier: Carrier },
  ) => Promise<void>,
  options: StationOptions = {},
): void {
  for (const carrier of CARRIERS) {
    test(`${title} [${carrier}]`, { skip: cannotCarry(carrier) }, async (context) => {
      await run(new Station(context, carrier, options), { test: context, carrier })
    })
  }
}

/** A callback that counts its calls, and a promise of the next one. */
export class Calls<T extends unknown[]> {
  readonly all: T[] = []
  #told = deferred()

  note(...args: T): void {
    this.all.push(args)
    this.#told.resolve(undefined)
    this.#told = deferred()
  }

  /** Waits until there were `count` calls; the last of them. */
  async reach(count: number): Promise<T> {
    while (this.all.length < count) {
      const told = this.#told.promise
      await within(told, LIMIT_MS, `call ${count} of a callback, after ${this.all.length}`)
    }
    return this.all[count - 1] as T
  }
}

/** Lets everything that is under way within this process come to an end. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

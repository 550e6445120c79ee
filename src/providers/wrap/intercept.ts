import { WSA, failure, success } from '../../spi/index.ts'
import type {
  Accepted,
  ConditionFunction,
  ConnectionMemory,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  ProviderData,
  RdmaAccess,
  RegisteredMemory,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  Sharing,
  SocketAddress,
  SocketOption,
  SocketRequest,
  StartupRequest,
  Status,
  SwitchHandle,
  Upcalls,
  Verdict,
  WsaCode,
} from '../../spi/index.ts'

/** What the switch calls. */
export type DownCall = Exclude<keyof SanProvider | keyof SanSocket, 'name'>
/** What the provider calls; `set` and `reset` of the event object and the condition function among them. */
export type UpCall = keyof Upcalls | 'condition' | 'set' | 'reset'

/** One call, before it is made. */
export interface Call {
  readonly direction: 'down' | 'up'
  readonly name: DownCall | UpCall
  /** Which socket: they are numbered in the order of `createSocketHandle`. 0 for a call on the provider. */
  readonly socket: number
  readonly args: readonly unknown[]
}

/** Stands in every call; `proceed` makes it. */
export interface Interceptor {
  status(call: Call, proceed: () => Status): Status
  result<T>(call: Call, proceed: () => Result<T>): Result<T>
  /** A call that cannot fail. */
  value<T>(call: Call, proceed: () => T): T
  /** A call that answers nothing and may come later: `set` and `reset`. */
  notify(call: Call, proceed: () => void): void
}

/** The numbers that sockets and event objects have in this wrapper. */
interface Numbers {
  readonly interceptor: Interceptor
  readonly sockets: WeakMap<SwitchHandle, number>
  last: number
}

/** A provider like `provider` with `interceptor` in every call, down and up. Memory is handed through as it is. */
export function intercept(provider: SanProvider, interceptor: Interceptor): SanProvider {
  const numbers: Numbers = { interceptor, sockets: new WeakMap(), last: 0 }
  const call = (name: DownCall, ...args: readonly unknown[]): Call => ({
    direction: 'down',
    name,
    socket: 0,
    args,
  })
  return {
    name: provider.name,
    startup(request: StartupRequest): Result<ProviderData> {
      const upcalls = new InterceptedUpcalls(request.upcalls, numbers)
      return interceptor.result(call('startup', request.version), () =>
        provider.startup({ ...request, upcalls }),
      )
    },
    cleanup: () => interceptor.status(call('cleanup'), () => provider.cleanup()),
    addressList: (): Result<readonly ServedSubnet[]> =>
      interceptor.result(call('addressList'), () => provider.addressList()),
    socket: (request: SocketRequest): Result<SanSocket> =>
      interceptor.result(call('socket', request), () => {
        const made = provider.socket(request)
        return made.ok ? success(new InterceptedSocket(made.value, numbers)) : made
      }),
    ...(provider.evict !== undefined && {
      evict: (memory: Uint8Array) =>
        interceptor.status(call('evict', memory), () => provider.evict?.(memory) ?? WSA.WSAEINVAL),
    }),
    ...(provider.room !== undefined && {
      room: () => interceptor.value(call('room'), () => provider.room?.() ?? Infinity),
    }),
    ...(provider.probe !== undefined && {
      probe: (address: SocketAddress) =>
        interceptor.value(call('probe', address), () => provider.probe?.(address) ?? []),
    }),
  }
}

class InterceptedUpcalls implements Upcalls {
  readonly #upcalls: Upcalls
  readonly #numbers: Numbers

  constructor(upcalls: Upcalls, numbers: Numbers) {
    this.#upcalls = upcalls
    this.#numbers = numbers
  }

  createSocketHandle(context: object): Result<SwitchHandle> {
    const call: Call = {
      direction: 'up',
      name: 'createSocketHandle',
      socket: this.#numbers.last + 1,
      args: [],
    }
    return this.#numbers.interceptor.result(call, () => {
      const made = this.#upcalls.createSocketHandle(context)
      if (made.ok) this.#numbers.sockets.set(made.value, ++this.#numbers.last)
      return made
    })
  }

  querySocketHandleContext(handle: SwitchHandle): Result<object> {
    const call = this.#call('querySocketHandleContext', handle)
    return this.#numbers.interceptor.result(call, () => this.#upcalls.querySocketHandleContext(handle))
  }

  completeOverlappedRequest(
    handle: SwitchHandle,
    overlapped: Overlapped,
    status: 0 | WsaCode,
    bytes: number,
  ): Status {
    const call = this.#call('completeOverlappedRequest', handle, overlapped, status, bytes)
    return this.#numbers.interceptor.status(call, () =>
      this.#upcalls.completeOverlappedRequest(handle, overlapped, status, bytes),
    )
  }

  closeSocketHandle(handle: SwitchHandle): Status {
    const call = this.#call('closeSocketHandle', handle)
    return this.#numbers.interceptor.status(call, () => this.#upcalls.closeSocketHandle(handle))
  }

  #call(name: UpCall, handle: SwitchHandle, ...args: readonly unknown[]): Call {
    return { direction: 'up', name, socket: this.#numbers.sockets.get(handle) ?? 0, args }
  }
}

class InterceptedEvent implements EventObject {
  readonly #event: EventObject
  readonly #interceptor: Interceptor
  readonly #socket: number

  constructor(event: EventObject, interceptor: Interceptor, socket: number) {
    this.#event = event
    this.#interceptor = interceptor
    this.#socket = socket
  }

  get isSet(): boolean {
    return this.#event.isSet
  }

  set(): void {
    this.#notify('set', () => {
      this.#event.set()
    })
  }

  reset(): void {
    this.#notify('reset', () => {
      this.#event.reset()
    })
  }

  #notify(name: UpCall, proceed: () => void): void {
    this.#interceptor.notify({ direction: 'up', name, socket: this.#socket, args: [] }, proceed)
  }
}

/** A socket with the interceptor before it. */
export class InterceptedSocket implements SanSocket {
  readonly number: number
  readonly #socket: SanSocket
  readonly #numbers: Numbers
  readonly #interceptor: Interceptor

  /** @param socket Just made: the number of the latest `createSocketHandle` is its number. */
  constructor(socket: SanSocket, numbers: Numbers) {
    this.number = numbers.last
    this.#socket = socket
    this.#numbers = numbers
    this.#interceptor = numbers.interceptor
  }

  bind(address: SocketAddress): Status {
    return this.#interceptor.status(this.#call('bind', address), () => this.#socket.bind(address))
  }

  setSockOpt(option: SocketOption, value: number): Status {
    const call = this.#call('setSockOpt', option, value)
    return this.#interceptor.status(call, () => this.#socket.setSockOpt(option, value))
  }

  getSockOpt(option: SocketOption): Result<number> {
    return this.#interceptor.result(this.#call('getSockOpt', option), () => this.#socket.getSockOpt(option))
  }

  share(sharing: Sharing): Status {
    const call = this.#call('share', sharing)
    return this.#interceptor.status(call, () => this.#socket.share?.(sharing) ?? WSA.WSAEOPNOTSUPP)
  }

  listen(backlog: number): Status {
    return this.#interceptor.status(this.#call('listen', backlog), () => this.#socket.listen(backlog))
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    const call = this.#call('eventSelect', event, mask)
    return this.#interceptor.status(call, () => this.#socket.eventSelect(this.#eventOf(event), mask))
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    const call = this.#call('enumNetworkEvents', event)
    return this.#interceptor.result(call, () => this.#socket.enumNetworkEvents(this.#eventOf(event)))
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    const call = pended === undefined ? this.#call('accept') : this.#call('accept', pended)
    return this.#interceptor.result(call, () => {
      const accepted = this.#socket.accept((request): Verdict => {
        const asked: Call = { direction: 'up', name: 'condition', socket: this.number, args: [request] }
        return this.#interceptor.value(asked, () => condition(request))
      }, pended)
      if (!accepted.ok) return accepted
      return success({
        ...accepted.value,
        socket: new InterceptedSocket(accepted.value.socket, this.#numbers),
      })
    })
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    const call = this.#call('connect', address, callerData)
    return this.#interceptor.status(call, () => this.#socket.connect(address, callerData))
  }

  calleeData(): Uint8Array {
    return this.#interceptor.value(this.#call('calleeData'), () => this.#socket.calleeData())
  }

  close(): Status {
    return this.#interceptor.status(this.#call('close'), () => this.#socket.close())
  }

  duplicate(processId: number): Result<Uint8Array> {
    return this.#interceptor.result(this.#call('duplicate', processId), () =>
      this.#socket.duplicate(processId),
    )
  }

  memory(): Result<ConnectionMemory> {
    return this.#interceptor.result(this.#call('memory'), () => this.#socket.memory())
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    return this.#interceptor.result(this.#call('registerMemory', bytes), () =>
      this.#socket.registerMemory(bytes),
    )
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    const call = this.#call('deregisterMemory', memory)
    return this.#interceptor.status(call, () => this.#socket.deregisterMemory(memory))
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const call = this.#call('peerMemory', descriptor, bytes)
    return this.#interceptor.result(call, () => this.#socket.peerMemory(descriptor, bytes))
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number, overlapped: Overlapped | null): Status {
    const call = this.#call('rdmaWrite', memory, offset, length, overlapped)
    return this.#interceptor.status(call, () => this.#socket.rdmaWrite(memory, offset, length, overlapped))
  }

  registerRdmaMemory(memory: Uint8Array, access: RdmaAccess): Result<number> {
    return this.#interceptor.result(
      this.#call('registerRdmaMemory', memory, access),
      () => this.#socket.registerRdmaMemory?.(memory, access) ?? failure(WSA.WSAEOPNOTSUPP),
    )
  }

  deregisterRdmaMemory(descriptor: number): Status {
    return this.#interceptor.status(
      this.#call('deregisterRdmaMemory', descriptor),
      () => this.#socket.deregisterRdmaMemory?.(descriptor) ?? WSA.WSAEOPNOTSUPP,
    )
  }

  rdmaRead(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    return this.#interceptor.status(
      this.#call('rdmaRead', descriptor, offset, target, overlapped),
      () => this.#socket.rdmaRead?.(descriptor, offset, target, overlapped) ?? WSA.WSAEOPNOTSUPP,
    )
  }

  signal(): Status {
    return this.#interceptor.status(this.#call('signal'), () => this.#socket.signal())
  }

  receive(overlapped: Overlapped): Status {
    return this.#interceptor.status(this.#call('receive', overlapped), () => this.#socket.receive(overlapped))
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    const call = this.#call('getOverlappedResult', overlapped)
    return this.#interceptor.result(call, () => this.#socket.getOverlappedResult(overlapped))
  }

  #call(name: DownCall, ...args: readonly unknown[]): Call {
    return { direction: 'down', name, socket: this.number, args }
  }

  #eventOf(event: EventObject | null): EventObject | null {
    return event === null ? null : new InterceptedEvent(event, this.#interceptor, this.number)
  }
}

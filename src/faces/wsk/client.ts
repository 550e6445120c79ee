import { familyName, isSockAddr } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import { BasicSocket } from './basic-socket.ts'
import { WskList } from './buffer.ts'
import type { Out } from './buffer.ts'
import { ConnectionSocket } from './connection-socket.ts'
import * as wsk from './constants.ts'
import { DatagramSocket } from './datagram-socket.ts'
import type {
  ControlInput,
  WskClientConnectionDispatch,
  WskClientDatagramDispatch,
  WskClientListenDispatch,
  WskClientStreamDispatch,
} from './dispatch.ts'
import { EVERY_EVENT } from './events.ts'
import type { IrpSink } from './irp.ts'
import type { Kit } from './kit.ts'
import { ListeningSocket } from './listening-socket.ts'
import { getAddressInfo, getNameInfo } from './names.ts'
import type { AddrInfo, AddrInfoHints } from './names.ts'
import { Request, Requests } from './request.ts'
import type { SecurityDescriptor } from './sharing.ts'
import type { SocketCore, SocketParts } from './socket.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'
import { StreamSocket } from './stream-socket.ts'
import type { WskTransport } from './transports.ts'

/** What WskSocket was asked for, besides the category. */
export interface SocketRequest {
  readonly family: number
  readonly socketType: number
  readonly protocol: number
  readonly context: unknown
  readonly dispatch: unknown
  readonly owner: unknown
  readonly security: SecurityDescriptor | null
}

/** A client object: what one registration has of the provider. */
export class Client {
  readonly kit: Kit
  readonly requests: Requests
  readonly #sockets = new Set<SocketCore>()
  readonly #listChanges = new Set<Request>()
  readonly #unwatch: () => void
  #staticEvents = 0
  #hadSocket = false
  #captures = 0
  #onIdle: (() => void) | undefined

  constructor(kit: Kit) {
    this.kit = kit
    this.requests = new Requests(kit.dispatcher)
    this.#unwatch = kit.transports.watch((removed) => {
      this.#transportsChanged(removed)
    })
  }

  /** Enabled for every socket, for good. */
  get staticEvents(): number {
    return this.#staticEvents
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  /** Captured, and not yet released as often: its functions may be called (WSK-REG-9, -10). */
  get captured(): boolean {
    return this.#captures > 0
  }
  capture(): void {
    this.#captures += 1
  }
  /** @returns false when there was none left. */
  releaseCapture(): boolean {
    if (this.#captures === 0) return false
    this.#captures -= 1
    this.#look()
    return true
  }

  /** Those that are open. */
  get sockets(): ReadonlySet<SocketCore> {
    return this.#sockets
  }
  opened(socket: SocketCore): void {
    this.#hadSocket = true
    this.#sockets.add(socket)
    this.kit.liveness.hold()
  }
  closed(socket: SocketCore): void {
    if (!this.#sockets.delete(socket)) return
    this.kit.liveness.release()
    this.#look()
  }

  /** Calls `done` once nothing of the client is left: the barrier of WskDeregister (WSK-REG-11, -12). */
  end(done: () => void): void {
    for (const request of this.#listChanges) request.complete(STATUS.STATUS_CANCELLED)
    this.#listChanges.clear()
    this.#onIdle = () => {
      this.#unwatch()
      done()
    }
    this.#look()
  }

  #look(): void {
    if (this.#onIdle === undefined || this.#captures > 0 || this.#sockets.size > 0) return
    const done = this.#onIdle
    this.requests.whenDownTo(0, done)
  }

  #transportsChanged(removed: WskTransport | undefined): void {
    this.kit.dispatcher.event(() => {
      for (const socket of [...this.#sockets]) if (socket.parts.transport === removed) socket.die()
      for (const request of this.#listChanges) request.complete(STATUS.STATUS_SUCCESS)
      this.#listChanges.clear()
    })
  }

  #start(irp: IrpSink<never> | null, begin: (request: Request) => void): NtStatus {
    return this.requests.start(irp, 'control', (request) => {
      if (this.captured) begin(request)
      else request.complete(STATUS.STATUS_DEVICE_NOT_READY)
    })
  }

  // --- sockets ------------------------------------------------------------------------------------------------------

  socket(wanted: SocketRequest, flags: wsk.CategoryFlag, irp: IrpSink<never> | null): NtStatus {
    return this.#start(irp, (request) => {
      const made = this.#make(wanted, flags)
      if (typeof made === 'number') request.complete(made)
      else request.complete(STATUS.STATUS_SUCCESS, made)
    })
  }

  #make(wanted: SocketRequest, flags: wsk.CategoryFlag): SocketCore | NtStatus {
    const { socketType, protocol, context, dispatch, owner, security } = wanted
    const family = familyName(wanted.family)
    if (family === undefined) return STATUS.STATUS_NOT_SUPPORTED
    const transport = this.kit.transports.find(wanted.family, socketType, protocol)
    if (transport === undefined) return STATUS.STATUS_NOT_SUPPORTED
    const parts: SocketParts = {
      client: this,
      transport,
      family,
      context,
      owner: owner ?? this,
      security: security ?? undefined,
    }
    const stream = socketType === wsk.SOCK_STREAM
    switch (flags) {
      case wsk.WSK_FLAG_BASIC_SOCKET:
        // It has no callbacks: nothing can be meant by a context (WSK-OBJ-9).
        if ((context ?? null) !== null || dispatch !== null) return STATUS.STATUS_INVALID_PARAMETER
        return new BasicSocket(parts)
      case wsk.WSK_FLAG_LISTEN_SOCKET:
        return new ListeningSocket(parts, dispatch as WskClientListenDispatch | null)
      case wsk.WSK_FLAG_CONNECTION_SOCKET:
        if (!stream) return STATUS.STATUS_NOT_SUPPORTED
        return new ConnectionSocket(parts, {
          context,
          callbacks: dispatch as WskClientConnectionDispatch | null,
        })
      case wsk.WSK_FLAG_DATAGRAM_SOCKET:
        if (stream) return STATUS.STATUS_NOT_SUPPORTED
        return new DatagramSocket(parts, dispatch as WskClientDatagramDispatch | null)
      case wsk.WSK_FLAG_STREAM_SOCKET:
        if (!stream) return STATUS.STATUS_NOT_SUPPORTED
        return new StreamSocket(parts, dispatch as WskClientStreamDispatch | null)
      default:
        return STATUS.STATUS_INVALID_PARAMETER
    }
  }

  /** Creates, binds and connects in one request; on failure nothing is left of it (WSK-SOCK-8). */
  socketConnect(
    wanted: Omit<SocketRequest, 'family'>,
    local: SockAddr,
    remote: SockAddr,
    flags: number,
    irp: IrpSink<never> | null,
  ): NtStatus {
    return this.#start(irp, (request) => {
      if (flags !== 0 || !isSockAddr(local) || !isSockAddr(remote)) {
        request.complete(STATUS.STATUS_INVALID_PARAMETER)
        return
      }
      const family = local.family === 'IPv6' ? wsk.AF_INET6 : wsk.AF_INET
      const made = this.#make({ ...wanted, family }, wsk.WSK_FLAG_CONNECTION_SOCKET)
      if (!(made instanceof ConnectionSocket)) {
        request.complete(typeof made === 'number' ? made : STATUS.STATUS_UNSUCCESSFUL)
        return
      }
      const inner: Request = new Request(() => {
        if (inner.status === STATUS.STATUS_SUCCESS) request.complete(inner.status, made, inner.after)
        else {
          made.abandon()
          request.complete(inner.status)
        }
      })
      request.onCancel = () => {
        inner.cancel()
      }
      made.bindAndConnect(local, remote, inner)
    })
  }

  // --- names --------------------------------------------------------------------------------------------------------

  getAddressInfo(
    node: string | null,
    service: string | null,
    hints: AddrInfoHints | null,
    result: Out<AddrInfo>,
    irp: IrpSink<0> | null,
  ): NtStatus {
    return this.#start(irp, (request) => {
      getAddressInfo(node, service, hints, result, request)
    })
  }

  getNameInfo(
    address: SockAddr,
    node: Out<string> | null,
    service: Out<string> | null,
    flags: number,
    irp: IrpSink<0> | null,
  ): NtStatus {
    return this.#start(irp, (request) => {
      getNameInfo(address, node, service, flags, request)
    })
  }

  // --- control ------------------------------------------------------------------------------------------------------

  control(
    code: number,
    input: ControlInput | null,
    output: Out<unknown> | WskList<WskTransport> | null,
    irp: IrpSink<number> | null,
  ): NtStatus {
    if (code === wsk.WSK_TRANSPORT_LIST_CHANGE) {
      if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
      return this.#start(irp, (request) => {
        this.#listChanges.add(request)
      })
    }
    const status = this.captured ? this.#controlNow(code, input, output, irp) : STATUS.STATUS_DEVICE_NOT_READY
    if (irp === null) return status
    return this.#start(irp, (request) => {
      request.complete(status)
    })
  }

  #controlNow(
    code: number,
    input: ControlInput | null,
    output: Out<unknown> | WskList<WskTransport> | null,
    irp: IrpSink<number> | null,
  ): NtStatus {
    // None of these takes time (WSK-CTL-2).
    if (irp !== null) return STATUS.STATUS_INVALID_PARAMETER
    switch (code) {
      case wsk.WSK_TRANSPORT_LIST_QUERY:
        if (!(output instanceof WskList)) return STATUS.STATUS_INVALID_PARAMETER
        return output.fill(this.kit.transports.list) ? STATUS.STATUS_SUCCESS : STATUS.STATUS_BUFFER_OVERFLOW
      case wsk.WSK_CACHE_SD:
        if (!isDescriptor(input) || output === null || output instanceof WskList)
          return STATUS.STATUS_INVALID_PARAMETER
        output.value = { ...input }
        return STATUS.STATUS_SUCCESS
      case wsk.WSK_RELEASE_SD:
        return isDescriptor(input) ? STATUS.STATUS_SUCCESS : STATUS.STATUS_INVALID_PARAMETER
      case wsk.WSK_SET_STATIC_EVENT_CALLBACKS:
        return this.#setStaticEvents(input)
      case wsk.WSK_TDI_BEHAVIOR:
        // There is nothing to bypass, and clients say it as a matter of course.
        return this.#hadSocket ? STATUS.STATUS_INVALID_DEVICE_STATE : STATUS.STATUS_SUCCESS
      default:
        return STATUS.STATUS_NOT_SUPPORTED
    }
  }

  #setStaticEvents(input: ControlInput | null): NtStatus {
    if (typeof input !== 'object' || input === null || !('eventMask' in input))
      return STATUS.STATUS_INVALID_PARAMETER
    if (input.npiId !== wsk.NPI_WSK_INTERFACE_ID) return STATUS.STATUS_NOT_SUPPORTED
    if (input.eventMask === 0 || (input.eventMask & ~EVERY_EVENT) !== 0)
      return STATUS.STATUS_INVALID_PARAMETER
    if (this.#hadSocket) return STATUS.STATUS_INVALID_DEVICE_STATE
    this.#staticEvents |= input.eventMask
    return STATUS.STATUS_SUCCESS
  }
}

function isDescriptor(input: ControlInput | null): input is SecurityDescriptor {
  return typeof input === 'object' && input !== null && 'maySharePort' in input
}

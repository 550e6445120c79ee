import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { Fifo } from '../../base/fifo.ts'
import { isSockAddr, sameAddress } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import { segmentsOf } from './buffer.ts'
import type { Out, WskBuf, WskList } from './buffer.ts'
import * as wsk from './constants.ts'
import { optionKey } from './control-table.ts'
import type { Timing } from './control-table.ts'
import { datagramDispatch } from './dispatch-tables.ts'
import type { ControlInput, WskClientDatagramDispatch, WskDatagramIndication } from './dispatch.ts'
import { EventSwitches } from './events.ts'
import type { IrpSink } from './irp.ts'
import { Machine } from '../../base/machine.ts'
import type { Request } from './request.ts'
import { BAD_INPUT, DONE, SocketCore } from './socket.ts'
import type { IoctlAnswer, SocketParts } from './socket.ts'
import { DATAGRAM } from './socket-states.ts'
import { STATUS, ntStatusOfError } from './status.ts'
import type { NtStatus } from './status.ts'

/** What may wait unread, or be retained, unless SO_RCVBUF says otherwise. */
const RECEIVE_BUFFER_BYTES = 256 << 10
/** Datagrams in one indication. */
const DATAGRAMS_PER_LIST = 64

interface Datagram {
  readonly bytes: Buffer
  readonly remote: SockAddr
}

/** Where WskReceiveFrom puts what it says beside the bytes. */
export interface ReceiveFromOut {
  readonly remote: Out<SockAddr> | null
  readonly controlLength: Out<number> | null
  readonly controlFlags: Out<number> | null
}

interface ReceiveFrom {
  readonly request: Request
  readonly segments: Uint8Array[]
  readonly out: ReceiveFromOut
}

/** A datagram socket, over Node's `dgram`. */
export class DatagramSocket extends SocketCore {
  readonly category = 'datagram'
  readonly dispatch = datagramDispatch
  protected readonly machine = new Machine(DATAGRAM, 'created')
  readonly #client: WskClientDatagramDispatch | null
  #socket: Socket | undefined
  #events: EventSwitches | undefined
  #local: SockAddr | undefined
  /** Default destination and filter (WSK-DGRAM-5), and default destination only (-6). */
  #fixedRemote: SockAddr | undefined
  #fixedDestination: SockAddr | undefined
  readonly #unread = new Fifo<Datagram>()
  readonly #receives = new Fifo<ReceiveFrom>()
  readonly #retained = new Map<WskDatagramIndication, number>()
  #heldBytes = 0
  #pumpPosted = false

  constructor(parts: SocketParts, client: WskClientDatagramDispatch | null) {
    super(parts)
    this.#client = client
  }

  protected get events(): EventSwitches | undefined {
    return this.#events
  }

  // --- binding ------------------------------------------------------------------------------------------------------

  bind(address: SockAddr, flags: number, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      if (flags !== 0 || !isSockAddr(address) || address.family !== this.parts.family) {
        request.complete(STATUS.STATUS_INVALID_PARAMETER)
      } else if (!this.machine.can('bind')) {
        request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      } else {
        this.#bind({ ...address }, request)
      }
    })
  }

  #bind(address: SockAddr, request: Request): void {
    const claimed = this.claim(address)
    if (claimed !== STATUS.STATUS_SUCCESS) {
      request.complete(claimed)
      return
    }
    this.machine.move('bind')
    const socket = createSocket({
      type: this.parts.family === 'IPv6' ? 'udp6' : 'udp4',
      reuseAddr: this.shares,
      ipv6Only: this.option(wsk.IPPROTO_IPV6, wsk.IPV6_V6ONLY) !== 0,
    })
    this.#socket = socket
    socket.on('message', (bytes, from) => {
      this.#arrived(bytes, from)
    })
    socket.on('error', (error) => {
      if (this.state !== 'binding') return
      this.machine.move('failed')
      this.unbind()
      this.#socket = undefined
      socket.close()
      request.complete(ntStatusOfError(error))
    })
    socket.bind({ address: address.address, port: address.port }, () => {
      if (this.state !== 'binding') return
      this.#bound(socket, address)
      request.complete(STATUS.STATUS_SUCCESS)
    })
  }

  #bound(socket: Socket, address: SockAddr): void {
    const { port } = socket.address()
    this.#local = { ...address, port }
    if (address.port === 0) this.claim(this.#local)
    this.machine.move('bound')
    if (this.option(wsk.SOL_SOCKET, wsk.SO_BROADCAST) !== 0) socket.setBroadcast(true)
    this.#events = new EventSwitches({
      valid: wsk.WSK_EVENT_RECEIVE_FROM,
      inherited: 0,
      fixed: this.parts.client.staticEvents,
      has: () => this.#client?.WskReceiveFromEvent !== undefined,
    })
  }

  getLocalAddress(address: Out<SockAddr>, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      if (this.#local !== undefined) address.value = { ...this.#local }
      request.complete(this.#local === undefined ? STATUS.STATUS_INVALID_DEVICE_STATE : STATUS.STATUS_SUCCESS)
    })
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  sendTo(
    buffers: readonly WskBuf[],
    flags: number,
    remote: SockAddr | null,
    irp: IrpSink<number> | null,
  ): NtStatus {
    const explicit = remote === null ? undefined : { ...remote }
    return this.start(irp, 'send', (request) => {
      const datagrams = buffers.map(segmentsOf)
      const to = explicit ?? this.#fixedRemote ?? this.#fixedDestination
      if (this.state !== 'bound') request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      else if (flags !== 0 || datagrams.includes(undefined) || !isSockAddr(to)) {
        request.complete(STATUS.STATUS_INVALID_PARAMETER)
      } else this.#send(datagrams as Uint8Array[][], to, request)
    })
  }

  // One datagram after another: the first that fails ends the request.
  #send(datagrams: readonly Uint8Array[][], to: SockAddr, request: Request): void {
    let sent = 0
    const next = (at: number): void => {
      const datagram = datagrams[at]
      if (datagram === undefined || request.over) {
        request.complete(STATUS.STATUS_SUCCESS, sent)
        return
      }
      // `dgram` takes no empty list.
      const parts = datagram.length === 0 ? [new Uint8Array()] : datagram
      this.#socket?.send(parts, to.port, to.address, (error, bytes) => {
        sent += bytes
        if (error === null) next(at + 1)
        else request.complete(ntStatusOfError(error))
      })
    }
    next(0)
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  receiveFrom(buffer: WskBuf, flags: number, out: ReceiveFromOut, irp: IrpSink<number> | null): NtStatus {
    return this.start(irp, 'receive', (request) => {
      const segments = segmentsOf(buffer)
      if (this.state !== 'bound') request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      else if (flags !== 0 || segments === undefined) request.complete(STATUS.STATUS_INVALID_PARAMETER)
      else {
        this.#receives.push({ request, segments, out })
        this.#serve()
      }
    })
  }

  #arrived(bytes: Buffer, from: RemoteInfo): void {
    const remote: SockAddr = { family: from.family, address: from.address, port: from.port }
    if (this.#fixedRemote !== undefined && !sameAddress(remote, this.#fixedRemote)) return
    const room = this.option(wsk.SOL_SOCKET, wsk.SO_RCVBUF) || RECEIVE_BUFFER_BYTES
    // Too much waits already: the newest is lost, as the kernel would lose it (WSK-DGRAM-12).
    if (this.#heldBytes + bytes.length > room) return
    this.#heldBytes += bytes.length
    this.#unread.push({ bytes, remote })
    this.kit.dispatcher.event(() => {
      this.#pump()
    })
  }

  #serve(): void {
    while (this.#unread.length > 0) {
      const next = this.#receives.shift()
      if (next === undefined) return
      if (!next.request.over) this.#fill(next, this.#unread.shift() as Datagram)
    }
  }

  #fill({ request, segments, out }: ReceiveFrom, { bytes, remote }: Datagram): void {
    this.#heldBytes -= bytes.length
    let copied = 0
    for (const segment of segments) {
      const part = bytes.subarray(copied, copied + segment.length)
      segment.set(part)
      copied += part.length
    }
    if (out.remote !== null) out.remote.value = remote
    if (out.controlLength !== null) out.controlLength.value = 0
    if (out.controlFlags !== null) out.controlFlags.value = copied < bytes.length ? wsk.MSG_TRUNC : 0
    request.complete(STATUS.STATUS_SUCCESS, copied)
  }

  #pumpSoon(): void {
    if (this.#pumpPosted) return
    this.#pumpPosted = true
    this.requests.post('receive', () => {
      this.#pumpPosted = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.state !== 'bound') return
    if (this.kit.dispatcher.chaos?.once(8) !== true) this.#serve()
    const events = this.#events
    if (this.#unread.length === 0 || events?.isEnabled(wsk.WSK_EVENT_RECEIVE_FROM) !== true) return
    if (events.inCall) return
    this.#indicate(events)
    if (this.#unread.length > 0) this.#pumpSoon()
  }

  #indicate(events: EventSwitches): void {
    const taken: Datagram[] = []
    while (taken.length < DATAGRAMS_PER_LIST && this.#unread.length > 0)
      taken.push(this.#unread.shift() as Datagram)
    let list: WskDatagramIndication | null = null
    for (const { bytes, remote } of taken.toReversed()) {
      const buffer = { chain: [bytes], offset: 0, length: bytes.length }
      list = { next: list, buffer, controlInfo: null, controlInfoLength: 0, remoteAddress: remote }
    }
    const status = events.run(wsk.WSK_EVENT_RECEIVE_FROM, () =>
      this.kit.dispatcher.client(
        () => this.#client?.WskReceiveFromEvent?.(this.parts.context, 0, list),
        STATUS.STATUS_DATA_NOT_ACCEPTED,
      ),
    )
    if (status === STATUS.STATUS_PENDING) {
      for (let node = list; node !== null; node = node.next) this.#retained.set(node, node.buffer.length)
      return
    }
    const refused = status === STATUS.STATUS_DATA_NOT_ACCEPTED
    if (!refused || events.isFixed(wsk.WSK_EVENT_RECEIVE_FROM)) {
      for (const { bytes } of taken) this.#heldBytes -= bytes.length
      return
    }
    // Refused where it can be: kept, and told when the callback is enabled again.
    events.disable(wsk.WSK_EVENT_RECEIVE_FROM)
    const later: Datagram[] = []
    for (let next = this.#unread.shift(); next !== undefined; next = this.#unread.shift()) later.push(next)
    for (const datagram of [...taken, ...later]) this.#unread.push(datagram)
  }

  releaseDatagrams(list: WskDatagramIndication): NtStatus {
    const nodes: WskDatagramIndication[] = []
    for (let node: WskDatagramIndication | null = list; node !== null; node = node.next) nodes.push(node)
    if (!nodes.every((node) => this.#retained.has(node))) return STATUS.STATUS_INVALID_PARAMETER
    for (const node of nodes) {
      this.#heldBytes -= this.#retained.get(node) ?? 0
      this.#retained.delete(node)
    }
    return STATUS.STATUS_SUCCESS
  }

  // --- control ------------------------------------------------------------------------------------------------------

  protected reached(timing: Timing): boolean {
    return timing === 'any' || (timing === 'beforeBind' ? this.state === 'created' : this.state === 'bound')
  }

  protected eventsChanged(): void {
    this.#pumpSoon()
  }

  protected override optionSet(key: string, value: number): NtStatus {
    if (this.#socket === undefined || this.state !== 'bound') return STATUS.STATUS_SUCCESS
    try {
      if (key === optionKey(wsk.SOL_SOCKET, wsk.SO_BROADCAST)) this.#socket.setBroadcast(value !== 0)
      if (key === optionKey(wsk.IPPROTO_IP, wsk.IP_TTL)) this.#socket.setTTL(value)
      if (key === optionKey(wsk.IPPROTO_IPV6, wsk.IPV6_UNICAST_HOPS)) this.#socket.setTTL(value)
    } catch (error) {
      return ntStatusOfError(error)
    }
    return STATUS.STATUS_SUCCESS
  }

  protected override ioctl(
    code: number,
    input: ControlInput | null,
    _output: Out<unknown> | WskList<unknown> | null,
  ): IoctlAnswer | undefined {
    const address = typeof input === 'object' && input !== null && 'port' in input ? { ...input } : undefined
    const valid = input === null || isSockAddr(address)
    switch (code) {
      case wsk.SIO_WSK_SET_REMOTE_ADDRESS:
        if (!valid) return BAD_INPUT
        this.#fixedRemote = address
        return DONE
      case wsk.SIO_WSK_SET_SENDTO_ADDRESS:
        if (!valid) return BAD_INPUT
        this.#fixedDestination = address
        return DONE
      default:
        return undefined
    }
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  protected release(): void {
    if (this.#retained.size > 0) {
      process.emitWarning('A socket was closed before its retained indications were released', 'WskWarning')
    }
    this.#socket?.close()
    this.#socket = undefined
  }

  protected tellDead(): void {
    const events = this.#events
    if (events?.isEnabled(wsk.WSK_EVENT_RECEIVE_FROM) !== true) return
    events.run(wsk.WSK_EVENT_RECEIVE_FROM, () =>
      this.kit.dispatcher.client(
        () => this.#client?.WskReceiveFromEvent?.(this.parts.context, 0, null),
        STATUS.STATUS_SUCCESS,
      ),
    )
  }
}

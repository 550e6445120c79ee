import type { AddressFamily } from '../../spi/index.ts'
import type { ConnectionReport, ListenerReport } from '../../switch/face.ts'
import { addressesOf, waitForAddresses } from './address-list.ts'
import type { SockAddr } from './addresses.ts'
import { WskList } from './buffer.ts'
import type { Out } from './buffer.ts'
import type { Client } from './client.ts'
import * as wsk from './constants.ts'
import { IOCTLS, OPTIONS, optionKey } from './control-table.ts'
import type { ControlRow, IrpRule, Timing } from './control-table.ts'
import type { ControlInput, WskCategory, WskProviderBasicDispatch } from './dispatch.ts'
import type { EventCallbackControl, EventSwitches, WskEvent } from './events.ts'
import type { IrpSink } from './irp.ts'
import type { Kit } from './kit.ts'
import { Requests } from './request.ts'
import type { ClientRequest, Request, RequestKind } from './request.ts'
import type { Binding, SecurityDescriptor, SharingMode } from './sharing.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'
import type { WskTransport } from './transports.ts'

/** What WskSocket was called with. */
export interface SocketParts {
  readonly client: Client
  readonly transport: WskTransport
  readonly family: AddressFamily
  readonly context: unknown
  /** Who shares addresses or may not: the owning process, or the client (WSK-SOCK-6). */
  readonly owner: unknown
  readonly security: SecurityDescriptor | undefined
}

/** The part of a category's state machine that all of them have. */
interface Lifecycle {
  readonly state: string
  can(event: 'die'): boolean
  move(event: 'die' | 'close' | 'through'): void
}

const ULONG_BYTES = 4

/** What sockets of every category are: options, ioctls, event callbacks, forced and ordinary ends. */
export abstract class SocketCore {
  abstract readonly category: WskCategory
  abstract readonly dispatch: WskProviderBasicDispatch
  readonly requests: Requests
  readonly parts: SocketParts
  protected abstract readonly machine: Lifecycle
  readonly kit: Kit
  readonly #options = new Map<string, number>()
  #security: SecurityDescriptor | undefined
  #binding: Binding | undefined

  constructor(parts: SocketParts) {
    this.parts = parts
    this.kit = parts.client.kit
    this.requests = new Requests(this.kit.dispatcher)
    this.#security = parts.security
    parts.client.opened(this)
  }

  get state(): string {
    return this.machine.state
  }

  /** What `sockswitch ls` shows of it. */
  get listenerReport(): ListenerReport | undefined {
    return undefined
  }
  get connectionReport(): ConnectionReport | undefined {
    return undefined
  }
  /** The process ends: tells the peer. */
  farewell(): void {
    // It has none.
  }

  // --- what the categories say --------------------------------------------------------------------------------------

  /** The event callbacks it has in its present role; undefined while it has none. */
  protected abstract get events(): EventSwitches | undefined
  /** Which of {@link Timing} it has reached. */
  protected abstract reached(timing: Timing): boolean
  /** Callbacks were enabled or disabled: what waits may be told. */
  protected abstract eventsChanged(): void
  /** Ends what it holds of the network. */
  protected abstract release(): void
  /** It is dead: tells each enabled callback that can be told, once. */
  protected abstract tellDead(): void
  /** An option was set. */
  protected optionSet(_key: string, _value: number): NtStatus {
    return STATUS.STATUS_SUCCESS
  }
  /** An ioctl of its category. */
  protected ioctl(
    _code: number,
    _input: ControlInput | null,
    _output: Out<unknown> | WskList<unknown> | null,
  ): IoctlAnswer | undefined {
    return undefined
  }

  // --- requests -----------------------------------------------------------------------------------------------------

  /** Starts a request unless the socket is over. */
  protected start(
    irp: IrpSink<never> | null,
    kind: RequestKind,
    begin: (request: Request) => void,
  ): NtStatus {
    if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
    const request = this.begin(irp, kind)
    if (!request.over) begin(request)
    return this.requests.begun(request)
  }

  /** The first half of {@link start}, for what is done often. The request is over when the socket is. */
  protected begin(irp: IrpSink<never>, kind: RequestKind): ClientRequest {
    const request = this.requests.begin(irp, kind)
    const refusal = this.#refusal()
    if (refusal !== undefined) request.complete(refusal)
    return request
  }

  #refusal(): NtStatus | undefined {
    switch (this.state) {
      case 'closing':
      case 'closed':
        return STATUS.STATUS_INVALID_HANDLE
      case 'dead':
        return STATUS.STATUS_FILE_FORCED_CLOSED
      default:
        return undefined
    }
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  close(irp: IrpSink<0> | null): NtStatus {
    if (this.state === 'closing' || this.state === 'closed') return this.start(irp, 'close', () => undefined)
    return this.requests.start(irp, 'close', (request) => {
      // Nobody calls off a close.
      request.onCancel = () => undefined
      this.machine.move('close')
      this.release()
      this.unbind()
      this.requests.cancelAll(request)
      // Last of all: nothing is outstanding, and no callback runs, once this is known (WSK §8 rule 1).
      this.requests.whenDownTo(1, () => {
        request.complete(STATUS.STATUS_SUCCESS, 0, () => {
          this.machine.move('through')
          this.parts.client.closed(this)
        })
      })
    })
  }

  /** What carried it is gone (WSK §8 rule 10). */
  die(): void {
    if (!this.machine.can('die')) return
    this.machine.move('die')
    this.release()
    this.unbind()
    this.requests.failAll(STATUS.STATUS_FILE_FORCED_CLOSED)
    this.requests.post('receive', () => {
      if (this.state === 'dead') this.tellDead()
    })
  }

  // --- addresses ----------------------------------------------------------------------------------------------------

  /** Asks the sharing matrix; the address is taken when the answer is success. */
  protected claim(address: SockAddr): NtStatus {
    const { transport, owner } = this.parts
    const binding: Binding = {
      protocol: transport.protocol,
      address,
      mode: this.#sharing,
      owner,
      security: this.#security,
    }
    const status = this.kit.addresses.judge(binding)
    if (status !== STATUS.STATUS_SUCCESS) return status
    this.unbind()
    this.#binding = binding
    this.kit.addresses.add(binding)
    return status
  }

  protected unbind(): void {
    if (this.#binding !== undefined) this.kit.addresses.delete(this.#binding)
    this.#binding = undefined
  }

  get #sharing(): SharingMode {
    if (this.option(wsk.SOL_SOCKET, wsk.SO_EXCLUSIVEADDRUSE) !== 0) return 'exclusive'
    return this.option(wsk.SOL_SOCKET, wsk.SO_REUSEADDR) !== 0 ? 'reuse' : 'default'
  }

  /** True when the client wants to share the address. */
  protected get shares(): boolean {
    return this.#sharing === 'reuse'
  }

  // --- control operations -------------------------------------------------------------------------------------------

  option(level: number, code: number): number {
    return this.#options.get(optionKey(level, code)) ?? 0
  }

  /** What accepted sockets inherit (WSK-ACCEPT-14). */
  inherit(from: SocketCore): void {
    for (const code of [wsk.SO_KEEPALIVE, wsk.SO_RCVBUF]) {
      const value = from.option(wsk.SOL_SOCKET, code)
      if (value !== 0) this.#options.set(optionKey(wsk.SOL_SOCKET, code), value)
    }
  }

  control(
    type: wsk.WskControlType,
    code: number,
    level: number,
    input: ControlInput | null,
    output: Out<unknown> | WskList<unknown> | null,
    irp: IrpSink<number> | null,
  ): NtStatus {
    const row = type === wsk.WskIoctl ? IOCTLS.get(code) : OPTIONS.get(optionKey(level, code))
    const rule = type === wsk.WskGetOption ? row?.get : row?.set
    if (row === undefined) return this.#answer(irp, STATUS.STATUS_NOT_SUPPORTED)
    if (row.unsupported !== undefined || rule === undefined)
      return this.#answer(irp, STATUS.STATUS_NOT_SUPPORTED)
    if (!row.categories.includes(this.category))
      return this.#answer(irp, STATUS.STATUS_INVALID_DEVICE_REQUEST)
    if (code === wsk.SO_WSK_EVENT_CALLBACK && type === wsk.WskSetOption)
      return this.#controlEvents(input, irp)
    const wrong = wrongIrp(rule.irp, irp)
    if (wrong !== undefined) return this.#answer(irp, wrong)
    const run = (): IoctlAnswer => {
      if (!this.reached(rule.when)) return { status: STATUS.STATUS_INVALID_DEVICE_STATE }
      if (type === wsk.WskIoctl) return this.#ioctl(code, input, output)
      if (type === wsk.WskGetOption) return this.#get(level, code, output)
      return this.#set(row, level, code, input)
    }
    if (irp === null) return this.#refusal() ?? run().status
    return this.start(irp, 'control', (request) => {
      const answer = run()
      if (answer.status !== STATUS.STATUS_PENDING) request.complete(answer.status, answer.information ?? 0)
      else if (answer.wait === undefined) request.complete(STATUS.STATUS_UNSUCCESSFUL)
      else answer.wait(request)
    })
  }

  #answer(irp: IrpSink<never> | null, status: NtStatus): NtStatus {
    const refusal = this.#refusal() ?? status
    if (irp === null) return refusal
    return this.requests.start(irp, 'control', (request) => {
      request.complete(refusal)
    })
  }

  #set(row: ControlRow, level: number, code: number, input: ControlInput | null): IoctlAnswer {
    if (code === wsk.SO_WSK_SECURITY && level === wsk.SOL_SOCKET) {
      if (typeof input !== 'object' || input === null || !('maySharePort' in input)) return BAD_INPUT
      this.#security = input
      return DONE
    }
    if (typeof input !== 'number' || !Number.isInteger(input) || input < 0) return BAD_INPUT
    if (row.set?.takes === 'flag' && input > 1) return BAD_INPUT
    if (code === wsk.SO_CONDITIONAL_ACCEPT && input === 1 && this.kit.conditionalAccept === 'none') {
      return { status: STATUS.STATUS_NOT_SUPPORTED }
    }
    const key = optionKey(level, code)
    const status = this.optionSet(key, input)
    if (status === STATUS.STATUS_SUCCESS) this.#options.set(key, input)
    return { status }
  }

  #get(level: number, code: number, output: Out<unknown> | WskList<unknown> | null): IoctlAnswer {
    if (output === null || output instanceof WskList) return BAD_INPUT
    output.value = code === wsk.SO_WSK_SECURITY ? this.#security : this.option(level, code)
    return { status: STATUS.STATUS_SUCCESS, information: ULONG_BYTES }
  }

  #ioctl(
    code: number,
    input: ControlInput | null,
    output: Out<unknown> | WskList<unknown> | null,
  ): IoctlAnswer {
    if (code === wsk.SIO_ADDRESS_LIST_QUERY) {
      if (!(output instanceof WskList)) return BAD_INPUT
      const room = output.fill(addressesOf(this.parts.family))
      return {
        status: room ? STATUS.STATUS_SUCCESS : STATUS.STATUS_BUFFER_OVERFLOW,
        information: output.needed,
      }
    }
    if (code === wsk.SIO_ADDRESS_LIST_CHANGE)
      return { status: STATUS.STATUS_PENDING, wait: this.#addressesChange }
    const answer = this.ioctl(code, input, output)
    return answer ?? { status: STATUS.STATUS_INVALID_DEVICE_REQUEST }
  }

  readonly #addressesChange = (request: Request): void => {
    waitForAddresses(this.parts.family, this.kit.clock, request)
  }

  // --- event callbacks ----------------------------------------------------------------------------------------------

  #controlEvents(input: ControlInput | null, irp: IrpSink<number> | null): NtStatus {
    const mask = isEventControl(input) ? input.eventMask >>> 0 : 0
    if (!isEventControl(input) || input.npiId !== wsk.NPI_WSK_INTERFACE_ID) {
      return this.#answer(
        irp,
        isEventControl(input) ? STATUS.STATUS_NOT_SUPPORTED : STATUS.STATUS_INVALID_PARAMETER,
      )
    }
    const { events } = this
    if (this.#refusal() === undefined && events === undefined) {
      return this.#answer(
        irp,
        this.category === 'basic' ? STATUS.STATUS_INVALID_PARAMETER : STATUS.STATUS_INVALID_DEVICE_STATE,
      )
    }
    if (events === undefined || this.#refusal() !== undefined)
      return this.#answer(irp, STATUS.STATUS_INVALID_HANDLE)
    if ((mask & wsk.WSK_EVENT_DISABLE) === 0) {
      // Enabling is done when the call returns: there is nothing to wait for.
      if (irp !== null) return this.#answer(irp, STATUS.STATUS_INVALID_PARAMETER)
      const status = events.enable(mask)
      if (status === STATUS.STATUS_SUCCESS) this.eventsChanged()
      return status
    }
    const event = (mask & ~wsk.WSK_EVENT_DISABLE) >>> 0
    const status = events.mayDisable(event)
    if (status !== STATUS.STATUS_SUCCESS) return this.#answer(irp, status)
    if (irp === null) {
      const disabled = events.disable(event as WskEvent)
      this.eventsChanged()
      return disabled
    }
    return this.start(irp, 'control', (request) => {
      events.disable(event as WskEvent, request)
      this.eventsChanged()
    })
  }
}

/** What a control operation came to. */
export interface IoctlAnswer {
  readonly status: NtStatus
  readonly information?: number
  /** With STATUS_PENDING: what completes the request. */
  readonly wait?: (request: Request) => void
}

export const DONE: IoctlAnswer = { status: STATUS.STATUS_SUCCESS }
export const BAD_INPUT: IoctlAnswer = { status: STATUS.STATUS_INVALID_PARAMETER }

function wrongIrp(rule: IrpRule, irp: IrpSink<never> | null): NtStatus | undefined {
  if (rule === 'required' && irp === null) return STATUS.STATUS_REQUEST_NOT_ACCEPTED
  if (rule === 'none' && irp !== null) return STATUS.STATUS_INVALID_PARAMETER
  return undefined
}

function isEventControl(input: ControlInput | null): input is EventCallbackControl {
  return typeof input === 'object' && input !== null && 'eventMask' in input
}

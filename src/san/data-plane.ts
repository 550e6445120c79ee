import { WSA, failure, success } from '../spi/index.ts'
import type {
  ConnectionMemory,
  MemoryRegion,
  Overlapped,
  RdmaAccess,
  RegisteredMemory,
  Result,
  Status,
  SwitchHandle,
  Upcalls,
  WsaCode,
} from '../spi/index.ts'
import { step } from '../base/machine.ts'
import type { Carrier, Connection } from './carrier.ts'
import { PostedReceive } from './posted-receive.ts'
import { TRANSITIONS } from './socket-state.ts'
import type { SanSocketEvent, SanSocketState } from './socket-state.ts'

/** What a socket does once it has a connection: memory, RDMA, signals, and the one receive. */
export abstract class DataPlane {
  protected readonly carrier: Carrier
  protected readonly upcalls: Upcalls
  protected readonly handle: SwitchHandle
  protected readonly posted = new PostedReceive()
  protected state: SanSocketState = 'open'
  protected connection: Connection | undefined
  /** Inside {@link getOverlappedResult}. */
  #isPolled = false
  /** Reads of the peer's memory under way. */
  #reads = 0
  #onRead: (() => void) | undefined

  protected constructor(carrier: Carrier, handle: SwitchHandle) {
    this.carrier = carrier
    this.upcalls = carrier.startups.upcalls
    this.handle = handle
  }

  protected move(event: SanSocketEvent): void {
    this.state = step('SAN socket', TRANSITIONS, this.state, event)
  }

  memory(): Result<ConnectionMemory> {
    const connection = this.#live
    return connection === undefined ? failure(this.dataError()) : success(connection.memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    const connection = this.#live
    if (connection === undefined) return failure(this.dataError())
    const { bounds, minMemoryBytes } = this.carrier
    if (!(bytes >= minMemoryBytes) || (bytes & (bytes - 1)) !== 0) return failure(WSA.WSAEINVAL)
    return bytes > bounds.maxMemoryBytes ? failure(WSA.WSAENOBUFS) : connection.register(bytes)
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    return this.#live?.deregister(memory) ?? this.dataError()
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    return this.#live?.peerMemory(descriptor, bytes) ?? failure(this.dataError())
  }

  rdmaWrite(
    memory: RegisteredMemory,
    offset: number,
    length: number,
    _overlapped: Overlapped | null,
  ): Status {
    const connection = this.connection
    if (this.state !== 'connected' || connection === undefined) return this.dataError()
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) return WSA.WSAEINVAL
    return connection.write(memory, offset, length)
  }

  registerRdmaMemory(memory: Uint8Array, access: RdmaAccess): Result<number> {
    const connection = this.#live
    if (connection === undefined) return failure(this.dataError())
    if (this.carrier.bounds.rdma === undefined) return failure(WSA.WSAEOPNOTSUPP)
    return connection.expose?.(memory, access) ?? failure(WSA.WSAEOPNOTSUPP)
  }

  deregisterRdmaMemory(descriptor: number): Status {
    const connection = this.#live
    if (connection === undefined) return this.dataError()
    return connection.conceal?.(descriptor) ?? WSA.WSAEOPNOTSUPP
  }

  rdmaRead(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    const connection = this.connection
    if (this.state !== 'connected' || connection === undefined) return this.dataError()
    if (this.carrier.bounds.rdma === undefined) return WSA.WSAEOPNOTSUPP
    const status = connection.read?.(descriptor, offset, target, overlapped) ?? WSA.WSAEOPNOTSUPP
    if (status === WSA.WSA_IO_PENDING) this.#reads += 1
    return status
  }

  signal(): Status {
    const connection = this.connection
    if (this.state !== 'connected' || connection === undefined) return this.dataError()
    return connection.signal()
  }

  receive(overlapped: Overlapped): Status {
    if (this.#live === undefined) return this.dataError()
    const status = this.posted.post(overlapped)
    if (status === WSA.WSA_IO_PENDING && this.posted.hasNews) this.carrier.schedule(this.#finishReceive)
    return status
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (this.state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.posted.isPosted(overlapped)) this.#poll()
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.pending ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  // Whoever polls hears of it that way; everybody else in a turn of its own.
  #poll(): void {
    this.#isPolled = true
    this.connection?.poll?.()
    this.#isPolled = false
    const finished = this.posted.finish()
    if (finished?.silent === false) this.announceLater(finished)
  }

  /** The connection, as long as this process has it; its peer may be gone. */
  get #live(): Connection | undefined {
    return this.state === 'connected' || this.state === 'disconnected' ? this.connection : undefined
  }

  /** Why a call that needs a connection cannot be made. */
  protected dataError(): WsaCode {
    switch (this.state) {
      case 'closed':
        return WSA.WSAENOTSOCK
      case 'left':
        return WSA.WSAEINVAL
      case 'disconnected':
        return WSA.WSAECONNRESET
      default:
        return WSA.WSAENOTCONN
    }
  }

  // --- what the connection tells ------------------------------------------------------------------------------------

  signalled(): void {
    if (this.state !== 'connected') return
    this.posted.signal()
    this.#tell()
  }

  ended(code: WsaCode): void {
    if (this.state !== 'connected') return
    this.move('peerGone')
    this.posted.end(code)
    this.#tell()
  }

  #tell(): void {
    if (this.#isPolled) return
    if (this.carrier.isPolling === true) this.carrier.schedule(this.#finishReceive)
    else this.#finishReceive()
  }

  readonly #finishReceive = (): void => {
    const finished = this.posted.finish()
    if (finished !== null) this.announce(finished)
  }

  completed(overlapped: Overlapped): void {
    if (this.carrier.isPolling !== true) this.#readEnded(overlapped)
    else
      this.carrier.schedule(() => {
        this.#readEnded(overlapped)
      })
  }

  #readEnded(overlapped: Overlapped): void {
    this.announce(overlapped)
    this.#reads -= 1
    if (this.#reads === 0) this.#onRead?.()
  }

  /** Once no read is under way, which may be now (READ-5). */
  protected afterReads(action: () => void): void {
    if (this.#reads === 0) action()
    else this.#onRead = action
  }

  protected announce(overlapped: Overlapped): void {
    if (overlapped.silent) return
    const { status, bytes } = overlapped
    this.upcalls.completeOverlappedRequest(this.handle, overlapped, status, bytes)
  }

  protected announceLater(overlapped: Overlapped): void {
    this.carrier.schedule(() => {
      this.announce(overlapped)
    })
  }
}

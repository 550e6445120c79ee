import type { AsyncResource } from 'node:async_hooks'
import { invariant } from '../../base/invariant.ts'
import type { SocketAddress, WsaCode } from '../../spi/index.ts'
import type { Session } from '../../switch/session/session.ts'
import { UV_EBADF, UV_ECANCELED, UV_ECONNRESET, UV_EOF, errnoError, uvError } from './errnos.ts'
import { asyncResource } from './internals.ts'
import type { Internals, OnRead, TcpHandle } from './internals.ts'
import type { Liveness } from './liveness.ts'

export interface ConnectionEnvironment {
  readonly internals: Internals
  readonly liveness: Liveness
  /** Runs a job soon, in a callback of its own. */
  readonly schedule: (job: () => void) => void
  /** As `schedule`, but before everything else that waits. */
  readonly soon: (job: () => void) => void
}

export interface ConnectionParts {
  readonly handle: TcpHandle
  readonly session: Session
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly provider: string
  readonly direction: 'in' | 'out'
  /** Gives back what the connection held besides the session, such as a reserved port. */
  readonly release: () => void
}

/** One write of the application that did not fit yet. */
interface PendingWrite {
  readonly chunks: Uint8Array[]
  index: number
  offset: number
  left: number
  readonly done: (error: Error | null) => void
  /** The context of the write, once it has to wait. */
  resource: AsyncResource | undefined
}

/** Read events carry at most this much; twice what libuv does, since a fast reader spends more time on the event than on the copy. */
const READ_BYTES = 128 << 10
/** Reads up to this size share a slab. */
const SHARED_BYTES = 4 << 10
const SLAB_BYTES = 32 << 10

let slab = new Uint8Array(0)
let slabUsed = 0

/**
 * A connection over a SAN behind a grafted handle: turns what the session tells into what `net.js` expects of libuv, and
 * the other way round. It decides nothing.
 */
export class Connection {
  readonly parts: ConnectionParts
  typeOfService = 0
  readonly #environment: ConnectionEnvironment
  readonly #session: Session
  #resource: AsyncResource = asyncResource('TCPWRAP')
  #onread: OnRead | undefined
  #userBuffer: Uint8Array | undefined
  #reading = false
  #referenced = true
  #alive = false
  #pumpScheduled = false
  #shuttingDown = false
  #ended = false
  #pending: PendingWrite | undefined

  constructor(environment: ConnectionEnvironment, parts: ConnectionParts) {
    this.#environment = environment
    this.parts = parts
    this.#session = parts.session
    this.#onread = parts.handle.onread
    this.#referenced = parts.handle.hasRef()
    this.#session.attach({
      agreed() {
        // Long past: connections are made of agreed sessions.
      },
      readable: () => {
        if (this.#reading && !this.#pumpScheduled) this.#pump()
      },
      writable: () => {
        this.#flush()
      },
    })
  }

  get session(): Session {
    return this.#session
  }
  get onread(): OnRead | undefined {
    return this.#onread
  }
  set onread(onread: OnRead | undefined) {
    this.#onread = onread
  }
  get userBuffer(): Uint8Array | undefined {
    return this.#userBuffer
  }
  set userBuffer(buffer: Uint8Array | undefined) {
    this.#userBuffer = buffer
  }
  get reading(): boolean {
    return this.#reading
  }
  /** Bytes of a write that the ring had no room for. */
  get queuedBytes(): number {
    return this.#pending?.left ?? 0
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  readStart(): void {
    if (this.#ended) return
    this.#reading = true
    this.#updateLiveness()
    // Whatever is there is told in a turn of its own; never from inside the call that asks for it.
    if (this.#session.available > 0 || this.#session.state !== 'open') this.#schedulePump()
    else if (this.#session.readEnd() !== 'more') this.#schedulePump()
  }

  readStop(): void {
    this.#reading = false
    this.#updateLiveness()
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    this.#environment.schedule(this.#scheduledPump)
  }

  readonly #scheduledPump = (): void => {
    this.#pumpScheduled = false
    if (this.#reading) this.#pump()
  }

  // One event to the socket per call, so that ticks run between two as they do with libuv.
  #pump(): void {
    let delivered = true
    try {
      delivered = this.#userBuffer === undefined ? this.#deliver() : this.#deliverInto(this.#userBuffer)
    } finally {
      // Also when a listener threw: that does not stop the stream.
      if (delivered) this.#pumpOn()
    }
    if (delivered) return
    const end = this.#session.readEnd()
    if (end !== 'more') this.#finish(end === 'end' ? UV_EOF : UV_ECONNRESET)
  }

  // The socket may have stopped reading, or closed.
  #pumpOn(): void {
    if (!this.#reading || this.#session.state === 'closed') return
    if (this.#session.available > 0 || this.#session.readEnd() !== 'more') this.#schedulePump()
  }

  #deliver(): boolean {
    const wanted = Math.min(this.#session.available, READ_BYTES)
    if (wanted === 0) return false
    let offset = 0
    let target: Uint8Array
    if (wanted <= SHARED_BYTES) {
      if (slabUsed + wanted > slab.length) {
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
        slabUsed = 0
      }
      target = slab
      offset = slabUsed
      slabUsed = (slabUsed + wanted + 7) & ~7
    } else {
      target = Buffer.allocUnsafeSlow(wanted)
    }
    const length = this.#session.readInto(target, offset, wanted)
    if (length === 0) return false
    this.#tell(length, target.buffer as ArrayBuffer, offset)
    return true
  }

  #deliverInto(buffer: Uint8Array): boolean {
    const length = this.#session.readInto(buffer, 0, buffer.length)
    if (length === 0) return false
    const next = this.#tell(length, undefined, 0)
    if (next !== undefined) this.#userBuffer = next
    return true
  }

  #finish(status: number): void {
    this.#ended = true
    this.readStop()
    this.#tell(status, undefined, 0)
  }

  #tell(readBytesOrError: number, buffer: ArrayBuffer | undefined, offset: number): Uint8Array | undefined {
    const { state, readBytesOrError: bytesIndex, arrayBufferOffset } = this.#environment.internals.stream
    const onread = this.#onread
    if (onread === undefined) return undefined
    return this.#resource.runInAsyncScope(() => {
      state[bytesIndex] = readBytesOrError
      state[arrayBufferOffset] = offset
      return onread.call(this.parts.handle, buffer)
    })
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  /**
   * Writes `chunks`; `done` is called once: at once when everything fitted or failed, later otherwise.
   *
   * @returns true when `done` is still to come.
   */
  write(chunks: Uint8Array[], done: (error: Error | null) => void): boolean {
    let left = 0
    for (const chunk of chunks) left += chunk.length
    const pending: PendingWrite = { chunks, index: 0, offset: 0, left, done, resource: undefined }
    const status = this.#advance(pending)
    if (status !== 'blocked') {
      done(status)
      return false
    }
    pending.resource = asyncResource('WRITEWRAP')
    this.#pending = pending
    this.#updateLiveness()
    return true
  }

  /**
   * Copies what is left of a pending write out of `borrowed`, which is about to be used again. (A Buffer's own `slice` would
   * not copy.)
   */
  keepPending(borrowed: Uint8Array): void {
    const pending = this.#pending
    const chunk = pending?.chunks[pending.index]
    if (pending === undefined || chunk?.buffer !== borrowed.buffer) return
    pending.chunks[pending.index] = Uint8Array.prototype.slice.call(chunk, pending.offset)
    pending.offset = 0
  }

  #advance(pending: PendingWrite): 'blocked' | Error | null {
    let taken = this.#session.write(pending.chunks, pending.index, pending.offset)
    if (taken < 0) return this.#writeError(-taken as WsaCode)
    pending.left -= taken
    if (pending.left === 0) return null
    while (taken > 0) {
      const rest = (pending.chunks[pending.index] as Uint8Array).length - pending.offset
      if (taken < rest) {
        pending.offset += taken
        break
      }
      taken -= rest
      pending.index += 1
      pending.offset = 0
    }
    return 'blocked'
  }

  #writeError(code: WsaCode): Error {
    const errno = this.#session.state === 'closed' ? UV_EBADF : uvError(code)
    return errnoError(errno, 'write')
  }

  #flush(): void {
    const pending = this.#pending
    if (pending === undefined) return
    const status = this.#advance(pending)
    if (status === 'blocked') return
    this.#pending = undefined
    this.#updateLiveness()
    finish(pending, status)
  }

  /** Sends the end of the stream; `done` is told in a turn of its own. */
  shutdown(done: () => void): void {
    this.#session.shutdown()
    const resource = asyncResource('SHUTDOWNWRAP')
    this.#shuttingDown = true
    this.#updateLiveness()
    // libuv reports this before it looks at any descriptor again.
    this.#environment.soon(() => {
      this.#shuttingDown = false
      this.#updateLiveness()
      resource.runInAsyncScope(done)
      resource.emitDestroy()
    })
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  set referenced(on: boolean) {
    this.#referenced = on
    this.#updateLiveness()
  }

  asyncReset(): void {
    this.#resource.emitDestroy()
    this.#resource = asyncResource('TCPWRAP')
  }

  #updateLiveness(): void {
    const alive = this.#referenced && (this.#reading || this.#pending !== undefined || this.#shuttingDown)
    if (alive === this.#alive) return
    this.#alive = alive
    if (alive) this.#environment.liveness.hold()
    else this.#environment.liveness.release()
  }

  /**
   * Closes, or resets, the connection.
   *
   * @returns ends the write that this cut off; to be called before the handle reports that it is closed.
   */
  close(how: 'close' | 'reset'): (() => void) | undefined {
    this.#reading = false
    const pending = this.#pending
    this.#pending = undefined
    this.#updateLiveness()
    if (how === 'reset') this.#session.reset()
    else this.#session.close()
    this.parts.release()
    this.#resource.emitDestroy()
    if (pending === undefined) return undefined
    return () => {
      finish(pending, errnoError(UV_ECANCELED, 'write'))
    }
  }

  /** Leaves the session to somebody else; returns the write that is still to be finished first. */
  detach(): { readonly rest: Uint8Array[]; readonly done: (error: Error | null) => void } | undefined {
    this.#reading = false
    const pending = this.#pending
    this.#pending = undefined
    this.#updateLiveness()
    if (pending === undefined) return undefined
    const rest = pending.chunks.slice(pending.index)
    if (rest[0] !== undefined) rest[0] = rest[0].subarray(pending.offset)
    const done = (error: Error | null): void => {
      finish(pending, error)
    }
    return { rest, done }
  }
}

function finish({ done, resource }: PendingWrite, status: Error | null): void {
  invariant(resource, 'a write that waits has a context')
  resource.runInAsyncScope(done, undefined, status)
  resource.emitDestroy()
}

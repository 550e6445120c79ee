import type { AsyncResource } from 'node:async_hooks'
import { advance, bytesFrom } from '../../base/chunks.ts'
import type { Stream, WsaCode } from '../../spi/index.ts'
import { UV_EBADF, UV_ECANCELED, UV_ECONNRESET, UV_EOF, uvError } from './errnos.ts'
import { asyncResource } from './internals.ts'
import type { OnRead } from './internals.ts'
import type { ConnectionEnvironment, ConnectionParts, Consumer, NativeCall } from './connection-parts.ts'
import { append, finish } from './pending-write.ts'
import type { DetachedWrite, PendingWrite, WriteDone } from './pending-write.ts'

export type { ConnectionEnvironment, ConnectionParts, Consumer, NativeCall } from './connection-parts.ts'

/** Read events carry at most this much; four times what libuv does, since a fast reader spends more time on the event than on the copy. */
const READ_BYTES = 256 << 10
/** Reads up to this size share a slab. */
const SHARED_BYTES = 4 << 10
const SLAB_BYTES = 32 << 10
/** What native code is shown at once: as much as one of libuv's reads. */
const SHOWN_BYTES = 64 << 10

let slab = new Uint8Array(0)
let slabUsed = 0
/** What a consumer is shown. */
let shown: Uint8Array | undefined

/**
 * A connection over a SAN behind a grafted handle: turns what the session tells into what `net.js` expects of libuv, and
 * the other way round. It decides nothing.
 */
export class Connection {
  readonly parts: ConnectionParts
  typeOfService = 0
  readonly #environment: ConnectionEnvironment
  readonly #session: Stream
  #resource: AsyncResource = asyncResource('TCPWRAP')
  #onread: OnRead | undefined
  #userBuffer: Uint8Array | undefined
  #reading = false
  #referenced = true
  #alive = false
  #pumpScheduled = false
  #ended = false
  #pending: PendingWrite | undefined
  /** Waits until everything pending is written. */
  #shutdown: ((status: number) => void) | undefined
  /** Requests that `soon` completes. */
  #completing = 0
  #consumer: Consumer | undefined

  constructor(environment: ConnectionEnvironment, parts: ConnectionParts) {
    this.#environment = environment
    this.parts = parts
    this.#session = parts.session
    this.#onread = parts.handle.onread
    this.#referenced = parts.handle.hasRef()
    this.#session.attach({
      readable: () => {
        if (!this.#reading || this.#pumpScheduled) return
        if (this.#consumer === undefined) this.#pump()
        else this.#schedulePump()
      },
      writable: () => {
        // Reading goes first, as the kernel's events do; what a consumer is shown has yet to be.
        if (this.#consumer !== undefined && this.#pumpScheduled) this.#environment.schedule(this.#flushOn)
        else this.#flush()
      },
    })
  }

  get session(): Stream {
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
  get consumer(): Consumer | undefined {
    return this.#consumer
  }
  set consumer(consumer: Consumer | undefined) {
    this.#consumer = consumer
  }
  /** Bytes of writes that the ring had no room for. */
  get queuedBytes(): number {
    let bytes = 0
    for (let write = this.#pending; write !== undefined; write = write.next) bytes += write.left
    return bytes
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
    if (this.#consumer === undefined) this.#environment.schedule(this.#scheduledPump)
    else this.#environment.scheduleOutside(this.#prepareFeed)
  }

  readonly #scheduledPump = (): void => {
    this.#pumpScheduled = false
    if (!this.#reading) return
    // A consumer may have taken over since.
    if (this.#consumer === undefined) this.#pump()
    else this.#schedulePump()
  }

  // What a consumer is given is looked for when its turn has come; it may have stopped reading, or closed, since.
  readonly #prepareFeed = (): NativeCall | undefined => {
    this.#pumpScheduled = false
    const consumer = this.#consumer
    if (!this.#reading || consumer === undefined) return undefined
    shown ??= new Uint8Array(SHOWN_BYTES)
    const length = this.#session.readInto(shown, 0, SHOWN_BYTES)
    if (length > 0) {
      this.#schedulePump()
      return consumer.data(shown.subarray(0, length))
    }
    const end = this.#session.readEnd()
    if (end === 'more') return undefined
    this.#ended = true
    this.readStop()
    return consumer.over(end === 'end' ? UV_EOF : UV_ECONNRESET)
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
  write(chunks: Uint8Array[], done: WriteDone): boolean {
    const write: PendingWrite = {
      chunks,
      index: 0,
      offset: 0,
      left: bytesFrom(chunks),
      done,
      resource: undefined,
      next: undefined,
    }
    const status = this.#pending === undefined ? this.#advance(write) : 'blocked'
    if (status !== 'blocked') {
      done(status)
      return false
    }
    write.resource = asyncResource('WRITEWRAP')
    this.#pending = append(this.#pending, write)
    this.#updateLiveness()
    return true
  }

  /**
   * Copies what is left of a pending write out of `borrowed`, which is about to be used again. (A Buffer's own `slice` would
   * not copy.)
   */
  keepPending(borrowed: Uint8Array): void {
    for (let write = this.#pending; write !== undefined; write = write.next) {
      const chunk = write.chunks[write.index]
      if (chunk?.buffer !== borrowed.buffer) continue
      write.chunks[write.index] = Uint8Array.prototype.slice.call(chunk, write.offset)
      write.offset = 0
    }
  }

  #advance(pending: PendingWrite): 'blocked' | number {
    const taken = this.#session.write(pending.chunks, pending.index, pending.offset)
    if (taken < 0) return this.#writeError(-taken as WsaCode)
    pending.left -= taken
    advance(pending, taken)
    return pending.left === 0 ? 0 : 'blocked'
  }

  #writeError(code: WsaCode): number {
    return this.#session.state === 'closed' ? UV_EBADF : uvError(code)
  }

  #flush(): void {
    const pending = this.#pending
    if (pending === undefined) return
    const status = this.#advance(pending)
    if (status === 'blocked') return
    this.#pending = pending.next
    // One event per callback; what waits behind it goes on in the next.
    if (pending.next !== undefined) this.#environment.soon(this.#flushOn)
    else if (this.#shutdown !== undefined) this.#sendEnd(this.#shutdown)
    this.#updateLiveness()
    finish(pending, status)
  }

  readonly #flushOn = (): void => {
    this.#flush()
  }

  /** Sends the end of the stream after everything written; `done` is told in a turn of its own. */
  shutdown(done: (status: number) => void): void {
    const resource = asyncResource('SHUTDOWNWRAP')
    const told = (status: number): void => {
      resource.runInAsyncScope(done, undefined, status)
      resource.emitDestroy()
    }
    if (this.#pending === undefined) this.#sendEnd(told)
    else this.#shutdown = told
  }

  #sendEnd(told: (status: number) => void): void {
    this.#shutdown = undefined
    this.#session.shutdown()
    // libuv reports this before it looks at any descriptor again.
    this.completeSoon(() => {
      told(0)
    })
  }

  /** Runs `complete` before anything else is told, and keeps the process alive until then. */
  completeSoon(complete: () => void): void {
    this.#completing += 1
    this.#updateLiveness()
    this.#environment.soon(() => {
      this.#completing -= 1
      this.#updateLiveness()
      complete()
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
    const alive = this.#referenced && (this.#reading || this.#pending !== undefined || this.#completing > 0)
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
    const shutdown = this.#shutdown
    this.#pending = undefined
    this.#shutdown = undefined
    this.#updateLiveness()
    if (how === 'reset') this.#session.reset()
    else this.#session.close()
    this.parts.release()
    this.#resource.emitDestroy()
    if (pending === undefined) return undefined
    return () => {
      for (let write: PendingWrite | undefined = pending; write !== undefined; write = write.next) {
        finish(write, UV_ECANCELED)
      }
      shutdown?.(UV_ECANCELED)
    }
  }

  /** Leaves the session to somebody else; returns the writes that are still to be finished first. */
  detach(): readonly DetachedWrite[] {
    this.#reading = false
    const writes: DetachedWrite[] = []
    for (let write = this.#pending; write !== undefined; write = write.next) {
      const rest = write.chunks.slice(write.index)
      if (rest[0] !== undefined) rest[0] = rest[0].subarray(write.offset)
      const waiting = write
      writes.push({
        rest,
        isEnd: false,
        done: (status: number) => {
          finish(waiting, status)
        },
      })
    }
    const shutdown = this.#shutdown
    if (shutdown !== undefined) {
      const done = (status: number): void => {
        this.#session.shutdown()
        shutdown(status)
      }
      writes.push({ rest: [new Uint8Array(0)], isEnd: true, done })
    }
    this.#pending = undefined
    this.#shutdown = undefined
    this.#updateLiveness()
    return writes
  }
}

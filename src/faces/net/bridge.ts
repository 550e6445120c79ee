import net from 'node:net'
import type { Stream, WsaCode } from '../../spi/index.ts'
import type { Connection } from './connection.ts'
import { UV_ECANCELED, uvError } from './errnos.ts'
import { showAddress } from './graft.ts'
import type { Internals, TcpHandle } from './internals.ts'
import type { DetachedWrite, WriteDone } from './pending-write.ts'
import type { HostTcp } from './reserved-ports.ts'

/** The other end of a descriptor that was put under a handle, and what the connection has still to write. */
export interface PairEnd {
  readonly inner: net.Socket
  /** Reads on from the descriptor, if the handle was read before. */
  readonly readOn: () => void
  readonly pending: readonly DetachedWrite[]
}

/**
 * Puts one end of a Unix socket pair under a grafted handle, for whoever wants a genuine descriptor. It is not read until
 * {@link PairEnd.readOn}.
 *
 * @param ungraft Takes the graft off the handle; called once the descriptor is there.
 */
export function putPairUnder(
  handle: TcpHandle,
  connection: Connection,
  { internals, host, ungraft }: { internals: Internals; host: HostTcp; ungraft: (handle: TcpHandle) => void },
): PairEnd {
  const { onread, userBuffer, reading } = connection
  const { local, remote } = connection.parts
  const pair = host.socketPair()
  if (typeof pair === 'number') throw new Error('Cannot hand the socket over: no descriptors are left')
  const pending = connection.detach()
  ungraft(handle)
  // Recorded TCP options would make libuv refuse a descriptor that is not TCP's.
  handle.setNoDelay(false)
  handle.setKeepAlive(false, 0)
  internals.prototype.open.call(handle, pair[0])
  if (onread !== undefined) handle.onread = onread
  if (userBuffer !== undefined) handle.useUserBuffer(userBuffer)
  handle.getsockname = (out) => showAddress(out, local)
  handle.getpeername = (out) => showAddress(out, remote)
  const inner = new net.Socket({ fd: pair[1], readable: true, writable: true, allowHalfOpen: true })
  const readOn = (): void => {
    if (reading) handle.readStart()
  }
  return { inner, readOn, pending }
}

/** Whoever waits for what came over the pair is elsewhere. */
const NOBODY: WriteDone = () => undefined

/** What the other process has written, and the session has not taken all of. */
interface Waiting {
  readonly chunk: Uint8Array
  offset: number
  readonly done: WriteDone
}

/**
 * Lets another process, or native code, have a SAN connection as a genuine libuv stream: pumps bytes between the other end of
 * its descriptor and the session.
 */
export class Bridge {
  readonly #session: Stream
  readonly #inner: net.Socket
  #waiting: Waiting[] = []
  /** All that the session had was read. */
  #ended = false

  /** @param heard What was read from the pair already. */
  constructor(connection: Connection, { inner, pending }: PairEnd, heard: readonly Buffer[] = []) {
    this.#session = connection.session
    this.#inner = inner
    this.#session.attach({ readable: this.#receive, writable: this.#flush })
    for (const { rest, done } of pending) {
      for (const [index, chunk] of rest.entries())
        this.#send(chunk, index === rest.length - 1 ? done : NOBODY)
    }
    for (const chunk of heard) this.#send(chunk)
    inner.on('data', (chunk: Buffer) => {
      this.#send(chunk)
      if (this.#waiting.length > 0) inner.pause()
    })
    inner.on('drain', this.#receive)
    if (inner.readableEnded) this.#end()
    else inner.on('end', this.#end)
    // 'close' follows and says it all.
    inner.on('error', () => undefined)
    inner.on('close', () => {
      this.#close()
      connection.parts.release()
    })
    this.#receive()
  }

  #send(chunk: Uint8Array, done: WriteDone = NOBODY): void {
    this.#waiting.push({ chunk, offset: 0, done })
    if (this.#waiting.length === 1) this.#flush()
  }

  readonly #flush = (): void => {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const taken = this.#session.write([next.chunk], 0, next.offset)
      if (taken < 0) {
        this.#giveUp(uvError(-taken as WsaCode))
        this.#inner.destroy()
        return
      }
      next.offset += taken
      if (next.offset < next.chunk.length) return
      this.#waiting.shift()
      next.done(0)
    }
    if (this.#inner.isPaused() && !this.#inner.readableEnded) this.#inner.resume()
  }

  readonly #receive = (): void => {
    while (!this.#inner.writableNeedDrain && !this.#ended) {
      const chunk = this.#session.read(64 << 10)
      if (chunk !== undefined) {
        this.#inner.write(chunk)
        continue
      }
      const end = this.#session.readEnd()
      if (end === 'more') return
      this.#ended = true
      if (end === 'end') this.#inner.end()
      else this.#inner.destroy()
    }
  }

  // After what was written before.
  readonly #end = (): void => {
    this.#send(new Uint8Array(0), () => {
      this.#session.shutdown()
    })
  }

  #close(): void {
    if (this.#waiting.length > 0 || !this.#ended) this.#session.reset()
    else this.#session.close()
    this.#giveUp(UV_ECANCELED)
  }

  #giveUp(status: number): void {
    for (const { done } of this.#waiting.splice(0)) done(status)
  }
}

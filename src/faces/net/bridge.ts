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

/**
 * Lets another process, or native code, have a SAN connection as a genuine libuv stream: pumps bytes between the other end of
 * its descriptor and the session.
 */
export class Bridge {
  readonly #session: Stream
  readonly #inner: net.Socket
  #ended = false

  /** @param heard What was read from the pair already. */
  constructor(connection: Connection, { inner, pending }: PairEnd, heard: readonly Buffer[] = []) {
    this.#session = connection.session
    this.#inner = inner
    this.#pump(pending, heard, connection.parts.release)
  }

  #pump(pending: PairEnd['pending'], heard: readonly Buffer[], release: () => void): void {
    const session = this.#session
    const inner = this.#inner
    let waiting: { chunk: Uint8Array; offset: number; done: WriteDone }[] = []
    const giveUp = (status: number): void => {
      const lost = waiting
      waiting = []
      for (const { done } of lost) done(status)
    }
    const flush = (): void => {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const taken = session.write([next.chunk], 0, next.offset)
        if (taken >= 0) next.offset += taken
        if (taken >= 0 && next.offset < next.chunk.length) return
        if (taken < 0) {
          giveUp(uvError(-taken as WsaCode))
          inner.destroy()
          return
        }
        waiting.shift()
        next.done(0)
      }
      if (!inner.isPaused() || inner.readableEnded) return
      inner.resume()
    }
    const send = (chunk: Uint8Array, done: WriteDone): void => {
      waiting.push({ chunk, offset: 0, done })
      if (waiting.length === 1) flush()
    }
    const receive = (): void => {
      while (!inner.writableNeedDrain && !this.#ended) {
        const chunk = session.read(64 << 10)
        if (chunk !== undefined) {
          inner.write(chunk)
          continue
        }
        const end = session.readEnd()
        if (end === 'more') return
        this.#ended = true
        if (end === 'end') inner.end()
        else inner.destroy()
      }
    }
    const end = (): void => {
      send(new Uint8Array(0), () => {
        session.shutdown()
      })
    }
    session.attach({ readable: receive, writable: flush })
    for (const { rest, done } of pending) {
      rest.forEach((chunk, index) => {
        send(chunk, index === rest.length - 1 ? done : () => undefined)
      })
    }
    for (const chunk of heard) send(chunk, () => undefined)
    inner.on('data', (chunk: Buffer) => {
      send(chunk, () => undefined)
      if (waiting.length > 0) inner.pause()
    })
    inner.on('drain', receive)
    if (inner.readableEnded) end()
    else inner.on('end', end)
    inner.on('error', () => {
      // 'close' follows and says it all.
    })
    inner.on('close', () => {
      if (waiting.length > 0 || !this.#ended) session.reset()
      else session.close()
      giveUp(UV_ECANCELED)
      release()
    })
    receive()
  }
}

import net from 'node:net'
import type { WsaCode } from '../../spi/index.ts'
import type { Connection } from './connection.ts'
import { uvError } from './errnos.ts'
import { showAddress } from './graft.ts'
import type { Internals, TcpHandle } from './internals.ts'
import type { WriteDone } from './pending-write.ts'
import type { HostTcp } from './reserved-ports.ts'

/**
 * Lets native code (TLS, HTTP/2, a handle sent to another process) have a SAN connection as a genuine libuv stream: one
 * end of a Unix socket pair goes under the handle, and this pumps bytes between the other end and the session.
 */
export class Bridge {
  readonly #connection: Connection
  readonly #inner: net.Socket
  #ended = false

  /** @param ungraft Takes the graft off the handle; called once the descriptor is there. */
  constructor(
    internals: Internals,
    host: HostTcp,
    handle: TcpHandle,
    connection: Connection,
    ungraft: () => void,
  ) {
    const { onread, userBuffer, reading } = connection
    const { local, remote, release } = connection.parts
    const pair = host.socketPair()
    if (typeof pair === 'number')
      throw new Error('Cannot hand the stream to native code: no descriptors are left')
    const pending = connection.detach()
    this.#connection = connection
    ungraft()
    // Recorded TCP options would make libuv refuse a descriptor that is not TCP's.
    handle.setNoDelay(false)
    handle.setKeepAlive(false, 0)
    internals.prototype.open.call(handle, pair[0])
    if (onread !== undefined) handle.onread = onread
    if (userBuffer !== undefined) handle.useUserBuffer(userBuffer)
    if (reading) handle.readStart()
    handle.getsockname = (out) => showAddress(out, local)
    handle.getpeername = (out) => showAddress(out, remote)
    this.#inner = new net.Socket({ fd: pair[1], readable: true, writable: true, allowHalfOpen: true })
    this.#pump(pending, release)
  }

  #pump(pending: ReturnType<Connection['detach']>, release: () => void): void {
    const session = this.#connection.session
    const inner = this.#inner
    let waiting: { chunk: Uint8Array; offset: number; done: WriteDone }[] = []
    const flush = (): void => {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const taken = session.write([next.chunk], 0, next.offset)
        if (taken >= 0) next.offset += taken
        if (taken >= 0 && next.offset < next.chunk.length) return
        waiting.shift()
        next.done(taken < 0 ? uvError(-taken as WsaCode) : 0)
        if (taken < 0) {
          waiting = []
          inner.destroy()
          return
        }
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
    session.attach({
      agreed() {
        // Long past.
      },
      readable: receive,
      writable: flush,
    })
    for (const { rest, done } of pending) {
      rest.forEach((chunk, index) => {
        send(chunk, index === rest.length - 1 ? done : () => undefined)
      })
    }
    inner.on('data', (chunk: Buffer) => {
      send(chunk, () => undefined)
      if (waiting.length > 0) inner.pause()
    })
    inner.on('drain', receive)
    inner.on('end', () => {
      send(new Uint8Array(0), () => {
        session.shutdown()
      })
    })
    inner.on('error', () => {
      // 'close' follows and says it all.
    })
    inner.on('close', () => {
      if (waiting.length > 0 || !this.#ended) session.reset()
      else session.close()
      release()
    })
    receive()
  }
}

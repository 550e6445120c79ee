import { Overlapped, SockswitchError, WSA, formatAddress, wsaName } from '../../spi/index.ts'
import type { SocketAddress, Status } from '../../spi/index.ts'
import type { WinsockCondition } from './accepting.ts'
import { reasonOf } from './event.ts'
import type { Home } from './home.ts'
import type { Buffers } from './buffers.ts'
import type { WinsockSocket } from './socket.ts'

export interface BlockingOptions {
  /** Ends the wait; the call rejects with its reason. After a cancelled transfer only close is sure to work (WSD-BLOCK-7). */
  readonly signal?: AbortSignal | undefined
}

/**
 * The calls of a blocking socket, as promises over overlapped operations (WSD-BLOCK-1, -3). They reject with a
 * `SockswitchError`, or with the reason of the signal that ended the wait.
 */
export class Blocking {
  readonly #socket: WinsockSocket
  readonly #home: Home

  constructor(socket: WinsockSocket, home: Home) {
    this.#socket = socket
    this.#home = home
  }

  /** Waits for a connection. */
  async accept(
    options: BlockingOptions & { readonly condition?: WinsockCondition } = {},
  ): Promise<WinsockSocket> {
    const socket = this.#home.newSocket(this.#socket.family)
    try {
      await this.#wait('accept', options.signal, 0, (overlapped) =>
        this.#socket.acceptEx(socket, undefined, overlapped, options.condition),
      )
    } catch (error) {
      socket.abort(true)
      throw error
    }
    return socket
  }

  /** Cancelled, it gives the attempt up for good (WSD-BLOCK-2). */
  async connect(address: SocketAddress, options: BlockingOptions = {}): Promise<void> {
    await this.#wait(`connect to ${formatAddress(address)}`, options.signal, 0, (overlapped) =>
      this.#socket.connectEx(address, undefined, overlapped),
    )
  }

  /** Waits until all bytes were taken, SO_SNDTIMEO at most; resolves with how many. */
  async send(buffers: Buffers, options: BlockingOptions & { readonly flags?: number } = {}): Promise<number> {
    return await this.#wait('send', options.signal, this.#timeout('SO_SNDTIMEO'), (overlapped) =>
      started(this.#socket.send(buffers, options.flags, overlapped)),
    )
  }

  /** Waits for bytes or the end, SO_RCVTIMEO at most; resolves with how many, 0 at the end. */
  async recv(buffers: Buffers, options: BlockingOptions & { readonly flags?: number } = {}): Promise<number> {
    return await this.#wait('receive', options.signal, this.#timeout('SO_RCVTIMEO'), (overlapped) =>
      started(this.#socket.recv(buffers, options.flags, overlapped)),
    )
  }

  /** Closes; with SO_LINGER waits until what was sent has gone, and resets the connection when that takes too long. */
  async close(): Promise<void> {
    const { promise, resolve } = withResolve()
    const seconds = this.#socket.lingering(resolve)
    if (seconds > 0) {
      const cancel = this.#home.clock.after(seconds * 1000, () => {
        this.#socket.abort(true)
        resolve()
      })
      await promise
      cancel()
    }
    const status = this.#socket.state === 'closed' && seconds > 0 ? 0 : this.#socket.closesocket()
    if (status !== 0) throw new SockswitchError(wsaName(status), 'close')
  }

  #timeout(option: 'SO_SNDTIMEO' | 'SO_RCVTIMEO'): number {
    const value = this.#socket.getsockopt(option)
    return value.ok ? value.value : 0
  }

  async #wait(
    action: string,
    signal: AbortSignal | undefined,
    timeoutMs: number,
    start: (overlapped: Overlapped) => Status,
  ): Promise<number> {
    signal?.throwIfAborted()
    return await new Promise<number>((resolve, reject) => {
      let why: Error | undefined
      const over = (): void => {
        signal?.removeEventListener('abort', aborted)
        cancelTimer?.()
      }
      const overlapped = new Overlapped({
        completed: (status, bytes) => {
          over()
          if (status === 0) resolve(bytes)
          else reject(why ?? new SockswitchError(wsaName(status), action))
        },
      })
      const giveUp = (error: Error): void => {
        why = error
        this.#socket.cancel(overlapped)
      }
      const aborted = (): void => {
        giveUp(reasonOf(signal))
      }
      const status = start(overlapped)
      if (status !== WSA.WSA_IO_PENDING) {
        reject(new SockswitchError(wsaName(status === 0 ? WSA.WSAEINVAL : status), action))
        return
      }
      signal?.addEventListener('abort', aborted)
      const cancelTimer =
        timeoutMs > 0
          ? this.#home.clock.after(timeoutMs, () => {
              giveUp(new SockswitchError('WSAETIMEDOUT', action))
            })
          : undefined
    })
  }
}

function started(result: { readonly ok: true } | { readonly ok: false; readonly error: Status }): Status {
  return result.ok ? 0 : result.error
}

function withResolve(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

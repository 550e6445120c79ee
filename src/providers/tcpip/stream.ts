import { bytesFrom } from '../../base/chunks.ts'
import { Fifo } from '../../base/fifo.ts'
import { step } from '../../base/machine.ts'
import { WSA } from '../../spi/index.ts'
import type { SocketOption, Status, Stream, StreamOwner } from '../../spi/index.ts'
import type { TcpBinding, TcpHandle } from './binding.ts'
import { UV_EOF, statusOf } from './errnos.ts'
import { Outlet } from './outlet.ts'
import { TRANSITIONS } from './stream-state.ts'
import type { TcpStreamEvent, TcpStreamState } from './stream-state.ts'

/** Bytes read ahead of the reader; beyond them the kernel's buffer fills, and the peer is held back. */
const WINDOW_BYTES = 64 << 10
/** How long a closed connection may take to hand its last piece to the kernel. */
const LINGER_MS = 30_000
/** Linux's own delay before the first probe. */
const KEEP_ALIVE_DELAY_S = 7200

/** A connection over TCP/IP, on a native handle of its own. */
export class TcpStream implements Stream {
  readonly #binding: TcpBinding
  readonly #handle: TcpHandle
  readonly #outlet: Outlet
  readonly #chunks = new Fifo<Buffer>()
  #owner: StreamOwner | undefined
  #state: TcpStreamState = 'open'
  #reading = false
  /** How the peer's direction ended; it is told after what is still unread. */
  #over: 'no' | 'end' | 'reset' = 'no'
  #blocked = false
  #available = 0
  #bytesRead = 0
  #bytesWritten = 0
  #closing: 'no' | 'drained' | 'reset' = 'no'
  #giveUp: NodeJS.Timeout | undefined

  constructor(binding: TcpBinding, handle: TcpHandle) {
    this.#binding = binding
    this.#handle = handle
    this.#outlet = new Outlet(binding, handle, (status) => {
      this.#sent(status)
    })
    handle.onread = (buffer) => {
      this.#arrived(buffer)
    }
  }

  get state(): TcpStreamState {
    return this.#state
  }
  get bytesRead(): number {
    return this.#bytesRead
  }
  get bytesWritten(): number {
    return this.#bytesWritten
  }
  get unsent(): number {
    return this.#outlet.unsent
  }

  /** From here on it is read, as far as the window goes. */
  attach(owner: StreamOwner): void {
    this.#owner = owner
    this.#updateReading()
  }

  #move(event: TcpStreamEvent): void {
    this.#state = step('TCP stream', TRANSITIONS, this.#state, event)
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  write(chunks: readonly Uint8Array[], index = 0, offset = 0): number {
    if (this.#state !== 'open' && this.#state !== 'halfOpen') {
      return this.#state === 'reset' ? -WSA.WSAECONNRESET : -WSA.WSAESHUTDOWN
    }
    if (this.aborted) return -WSA.WSAECONNRESET
    const taken = this.#outlet.write(chunks, index, offset)
    if (taken < 0) return -(statusOf(taken) || WSA.WSAECONNRESET)
    this.#blocked = taken < bytesFrom(chunks, index, offset)
    this.#bytesWritten += taken
    return taken
  }

  #sent(status: Status): void {
    if (this.#closing !== 'no') {
      this.#finishClosing()
      return
    }
    if (status !== 0 && this.#over !== 'reset') {
      this.#over = 'reset'
      this.#owner?.readable()
    }
    if (this.#state === 'closed') return
    this.#blocked = false
    this.#owner?.writable()
  }

  shutdown(): void {
    if (this.#state !== 'open' && this.#state !== 'halfOpen') return
    this.#move('localEnd')
    this.#outlet.shutdown()
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  get available(): number {
    return this.#available
  }

  read(maxBytes: number): Buffer | undefined {
    const first = this.#chunks.peek()
    if (first === undefined || maxBytes <= 0) return undefined
    if (first.length <= maxBytes) {
      this.#chunks.shift()
      this.#took(first.length)
      return first
    }
    const target = Buffer.allocUnsafe(maxBytes)
    this.readInto(target, 0, maxBytes)
    return target
  }

  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    let done = 0
    while (done < maxBytes) {
      const first = this.#chunks.peek()
      if (first === undefined) break
      const length = Math.min(first.length, maxBytes - done)
      target.set(length === first.length ? first : first.subarray(0, length), to + done)
      if (length === first.length) this.#chunks.shift()
      else this.#chunks.replaceFirst(first.subarray(length))
      done += length
    }
    this.#took(done)
    return done
  }

  #took(bytes: number): void {
    this.#available -= bytes
    this.#bytesRead += bytes
    this.#updateReading()
  }

  readEnd(): 'more' | 'end' | 'reset' {
    if (this.#available > 0) return 'more'
    if (this.#state === 'reset' || this.#state === 'closed') return 'reset'
    if (this.#over === 'reset') {
      this.#move('reset')
      return 'reset'
    }
    if (this.#over === 'end' && (this.#state === 'open' || this.#state === 'draining'))
      this.#move('remoteEnd')
    return this.#state === 'halfOpen' || this.#state === 'finished' ? 'end' : 'more'
  }

  get aborted(): boolean {
    return this.#over === 'reset'
  }

  #updateReading(): void {
    const wanted =
      this.#owner !== undefined &&
      this.#over === 'no' &&
      this.#state !== 'closed' &&
      this.#available < (this.#reading ? WINDOW_BYTES : WINDOW_BYTES / 2)
    if (wanted === this.#reading) return
    this.#reading = wanted
    if (wanted) this.#handle.readStart()
    else this.#handle.readStop()
  }

  #arrived(buffer: ArrayBuffer | undefined): void {
    const { state, readResult, readOffset } = this.#binding
    const result = state[readResult] ?? 0
    if (this.#state === 'closed' || result === 0) return
    if (result > 0 && buffer !== undefined) {
      this.#chunks.push(Buffer.from(buffer, state[readOffset], result))
      this.#available += result
    } else {
      this.#over = result === UV_EOF ? 'end' : 'reset'
    }
    this.#updateReading()
    this.#owner?.readable()
    if (this.#blocked && this.#over === 'reset') this.#owner?.writable()
  }

  setOption(option: SocketOption, value: number): Status {
    if (option === 'TCP_NODELAY') return statusOf(this.#handle.setNoDelay(value !== 0))
    if (option === 'SO_KEEPALIVE') return statusOf(this.#handle.setKeepAlive(value !== 0, KEEP_ALIVE_DELAY_S))
    return WSA.WSAENOPROTOOPT
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  close(): void {
    if (this.#state === 'closed') return
    if (this.#available > 0 || this.#state === 'reset') this.reset()
    else this.#end('drained')
  }

  reset(): void {
    if (this.#state !== 'closed') this.#end('reset')
  }

  #end(how: 'drained' | 'reset'): void {
    this.#move('close')
    this.#blocked = false
    this.#closing = how
    this.#chunks.clear()
    this.#available = 0
    this.#updateReading()
    if (this.#finishClosing()) return
    // The kernel would go on sending for whoever is gone; it gives up some time, too.
    this.#giveUp = setTimeout(() => {
      this.#closing = 'reset'
      this.#finishClosing()
    }, LINGER_MS).unref()
  }

  /** @returns true when nothing is left to do. */
  #finishClosing(): boolean {
    if (this.#closing === 'no') return true
    if (this.#outlet.shuttingDown || (this.#closing === 'drained' && this.#outlet.unsent > 0)) return false
    const abruptly = this.#closing === 'reset'
    this.#closing = 'no'
    clearTimeout(this.#giveUp)
    if (!abruptly || this.#handle.reset() !== 0) this.#handle.close()
    return true
  }
}

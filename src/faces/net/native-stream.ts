import type { Connection, Consumer, NativeCall } from './connection.ts'
import { UV_EOF } from './errnos.ts'
import type { Internals, JsStream, OnRead } from './internals.ts'

/** Whoever reads a stream base from JavaScript: a handle with the function Node has put there. */
interface Reader {
  readonly onread: OnRead | undefined
}

/**
 * A SAN connection as a stream base, for native code: Node's own `JSStream`, with the connection as its other side. TLS and
 * HTTP/2 run on it as on a descriptor.
 */
export class NativeStream implements Consumer {
  readonly base: JsStream
  readonly #internals: Internals
  readonly #connection: Connection
  /** Who hears of errors, which a JSStream cannot tell. */
  #reader: Reader

  constructor(internals: Internals, connection: Connection) {
    this.#internals = internals
    this.#connection = connection
    this.#reader = connection
    const base = new internals.JSStream()
    this.base = base
    base.isClosing = () => connection.session.state === 'closed'
    base.onreadstart = () => {
      connection.readStart()
      return 0
    }
    base.onreadstop = () => {
      connection.readStop()
      return 0
    }
    base.onwrite = (request, chunks) => this.#write(request, chunks)
    base.onshutdown = (request) => {
      connection.shutdown((status) => {
        base.finishShutdown(request, status)
      })
      return 0
    }
    // Where native code leaves the stream again, or has no use for what comes, the socket reads.
    base.onread = (buffer) => connection.onread?.call(connection.parts.handle, buffer)
  }

  /** TLS sits on the stream: it hears of errors first. */
  underTls(reader: Reader): void {
    this.#reader = reader
  }

  // A write that the ring takes is complete soon, never at once: TLS cannot bear that, and under HTTP/2 callbacks of the
  // application would run, and might throw, from inside this call, which native code takes for a failed write.
  #write(request: object, chunks: Uint8Array[]): number {
    let called = false
    let result = 0
    this.#connection.write(chunks, (status) => {
      if (called) {
        this.base.finishWrite(request, status)
        return
      }
      result = status
      if (status !== 0) return
      this.#connection.completeSoon(() => {
        this.base.finishWrite(request, 0)
      })
    })
    called = true
    return result
  }

  // --- as the consumer of the connection ----------------------------------------------------------------------------

  data(bytes: Uint8Array): NativeCall {
    return [this.base, this.base.readBuffer, bytes]
  }

  over(status: number): NativeCall | undefined {
    if (status === UV_EOF) return [this.base, this.base.emitEOF, undefined]
    // What JavaScript is told here runs in a callback, unlike what native code is.
    this.#connection.completeSoon(() => {
      if (this.#connection.session.state === 'closed') return
      const { state, readBytesOrError } = this.#internals.stream
      state[readBytesOrError] = status
      const reader = this.#reader
      reader.onread?.call(
        (reader === this.#connection ? this.#connection.parts.handle : reader) as never,
        undefined,
      )
    })
  }
}

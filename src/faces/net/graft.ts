import net from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import type { Connection } from './connection.ts'
import { UV_EBADF, errnoError } from './errnos.ts'
import type { Internals, OwnerSocket, TcpHandle, WriteGeneric } from './internals.ts'
import { TELLS_OF_CUT_WRITES, ownerOf, symbolOf } from './internals.ts'

const CONNECTION = Symbol('sockswitch.connection')

type Grafted = TcpHandle & { [CONNECTION]?: Connection | undefined }

/** The SAN connection behind `handle`, if there is one. */
export function connectionOf(handle: TcpHandle | null | undefined): Connection | undefined {
  return (handle as Grafted | null | undefined)?.[CONNECTION]
}

/**
 * Lets a native TCP handle without a descriptor carry SAN connections: a prototype between the handle and `TCP.prototype`
 * replaces the methods that move data. `socket._handle` stays a native TCPWrap, so whoever looks at it finds what it
 * always was, and the graft can be taken off again at any time.
 */
export class Grafter {
  readonly #internals: Internals
  readonly #prototype: TcpHandle

  /** @param asked Called when native code is about to take the stream of a grafted handle. */
  constructor(internals: Internals, asked: (handle: TcpHandle) => void) {
    this.#internals = internals
    this.#prototype = graftPrototype(internals, asked)
  }

  graft(handle: TcpHandle, connection: Connection): void {
    ;(handle as Grafted)[CONNECTION] = connection
    Object.setPrototypeOf(handle, this.#prototype)
  }

  ungraft(handle: TcpHandle): void {
    ;(handle as Grafted)[CONNECTION] = undefined
    Object.setPrototypeOf(handle, this.#internals.prototype)
  }
}

function graftPrototype(internals: Internals, asked: (handle: TcpHandle) => void): TcpHandle {
  const native = internals.prototype
  const method = (value: (this: Grafted, ...args: never[]) => unknown): PropertyDescriptor => ({
    value,
    writable: true,
    configurable: true,
  })
  const accessor = (
    get: (this: Grafted) => unknown,
    set?: (this: Grafted, value: never) => void,
  ): PropertyDescriptor => ({ get, ...(set && { set: set as (value: unknown) => void }), configurable: true })

  return Object.create(native, {
    onread: accessor(
      function () {
        return this[CONNECTION]?.onread
      },
      function (onread: TcpHandle['onread'] & object) {
        const connection = this[CONNECTION]
        if (connection !== undefined) connection.onread = onread
      },
    ),
    bytesRead: accessor(function () {
      return this[CONNECTION]?.session.bytesRead ?? 0
    }),
    bytesWritten: accessor(function () {
      return (this[CONNECTION]?.session.bytesWritten ?? 0) + (this[CONNECTION]?.queuedBytes ?? 0)
    }),
    writeQueueSize: accessor(function () {
      return this[CONNECTION]?.queuedBytes ?? 0
    }),
    // Who asks is about to hand the stream to native code. An HTTP/1 server asks, too, but reads 'data' when refused.
    isStreamBase: accessor(function () {
      const owner = ownerOf(internals, this) as OwnerSocket | undefined
      const connection = this[CONNECTION]
      if (connection === undefined || owner?._handle !== this) return true
      if (owner.parser !== undefined && owner.parser !== null) return false
      asked(this)
      return true
    }),
    readStart: method(function () {
      this[CONNECTION]?.readStart()
      return 0
    }),
    readStop: method(function () {
      this[CONNECTION]?.readStop()
      return 0
    }),
    useUserBuffer: method(function (buffer: Uint8Array) {
      const connection = this[CONNECTION]
      if (connection !== undefined) connection.userBuffer = buffer
    }),
    asyncReset: method(function (resource: object) {
      native.asyncReset.call(this, resource)
      this[CONNECTION]?.asyncReset()
    }),
    shutdown: method(function (request: ShutdownRequest) {
      this[CONNECTION]?.shutdown(() => {
        request.oncomplete(0)
      })
      return 0
    }),
    close: method(function (done?: () => void) {
      native.close.call(this, closeWith(this, 'close', done))
    }),
    reset: method(function (done?: () => void) {
      native.close.call(this, closeWith(this, 'reset', done))
      return 0
    }),
    ref: method(function () {
      native.ref.call(this)
      const connection = this[CONNECTION]
      if (connection !== undefined) connection.referenced = true
    }),
    unref: method(function () {
      native.unref.call(this)
      const connection = this[CONNECTION]
      if (connection !== undefined) connection.referenced = false
    }),
    // Nothing carries it here; it reads as the kernel would have kept it, without the bits for congestion.
    ...('setTypeOfService' in native && {
      setTypeOfService: method(function (value: number) {
        if (this[CONNECTION] !== undefined) this[CONNECTION].typeOfService = value & ~3
        return 0
      }),
      getTypeOfService: method(function () {
        return this[CONNECTION]?.typeOfService ?? 0
      }),
    }),
    getsockname: method(function (out: object) {
      return showAddress(out, this[CONNECTION]?.parts.local)
    }),
    getpeername: method(function (out: object) {
      return showAddress(out, this[CONNECTION]?.parts.remote)
    }),
  }) as TcpHandle
}

/** Fills `out` as libuv's wrappers do, in their order. */
export function showAddress(out: object, shown: SocketAddress | undefined): number {
  if (shown === undefined) return UV_EBADF
  Object.assign(out, { address: shown.address, family: shown.family, port: shown.port })
  return 0
}

interface ShutdownRequest {
  oncomplete(status: number): void
}

/** Closes the connection; returns what the native handle is to call when it is closed itself. */
function closeWith(handle: Grafted, how: 'close' | 'reset', done?: () => void): (() => void) | undefined {
  const connection = handle[CONNECTION]
  if (connection === undefined || connection.session.state === 'closed') return done
  const endWrite = connection.close(how)
  if (endWrite === undefined) return done
  return () => {
    endWrite()
    done?.()
  }
}

/** Strings up to this many UTF-16 units are encoded without a buffer of their own. */
const SCRATCH_UNITS = 16 << 10
const scratch = Buffer.allocUnsafeSlow(SCRATCH_UNITS * 3)

/** Sends the writes of grafted sockets to their connection; every other socket is written as before. */
export function installWrites(): void {
  const prototype = net.Socket.prototype as OwnerSocket
  const original = prototype._writeGeneric
  let lastWriteQueueSize: symbol | undefined

  const write: WriteGeneric = function (writev, data, encoding, callback) {
    const connection = this.connecting ? undefined : connectionOf(this._handle)
    if (connection === undefined) {
      original.call(this, writev, data, encoding, callback)
      return
    }
    this._pendingData = null
    this._pendingEncoding = ''
    this._unrefTimer()
    const chunks = writev
      ? (data as { chunk: string | Uint8Array; encoding: BufferEncoding }[]).map((entry) =>
          typeof entry.chunk === 'string' ? Buffer.from(entry.chunk, entry.encoding) : entry.chunk,
        )
      : [typeof data === 'string' ? encode(data, encoding) : (data as Uint8Array)]
    lastWriteQueueSize ??= symbolOf(this, 'lastWriteQueueSize')
    const setQueued = (bytes: number): void => {
      if (lastWriteQueueSize !== undefined) {
        ;(this as unknown as Record<symbol, number>)[lastWriteQueueSize] = bytes
      }
    }
    let later = false
    const waiting = connection.write(chunks, (status) => {
      // As net.js, of which older versions do not tell whoever destroyed the socket of the writes that this cut off.
      if (later && this.destroyed && (status === 0 || !TELLS_OF_CUT_WRITES)) {
        callback(null)
        return
      }
      if (later) {
        this._unrefTimer()
        setQueued(0)
      }
      callback(status === 0 ? null : errnoError(status, 'write'))
    })
    later = true
    if (!waiting) return
    // What is left outlives this call; the scratch buffer does not.
    connection.keepPending(scratch)
    // As net.js: the whole write, so that the first timeout sees progress in what is still queued.
    setQueued(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  }
  prototype._writeGeneric = write
}

function encode(text: string, encoding: BufferEncoding | 'buffer'): Uint8Array {
  if (encoding === 'buffer') {
    // As Node's handles answer a string that calls itself a buffer.
    throw Object.assign(new TypeError('Second argument must be a buffer'), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  if (text.length > SCRATCH_UNITS) return Buffer.from(text, encoding)
  return scratch.subarray(0, scratch.write(text, encoding))
}

import { createHook } from 'node:async_hooks'
import type { Connection } from './connection.ts'
import { connectionOf } from './graft.ts'
import type { Internals, OwnerSocket, TcpHandle, TlsBinding, TlsWrap } from './internals.ts'
import { ownerOf, symbolOf, userBufferOf } from './internals.ts'
import { NativeStream } from './native-stream.ts'

interface Http2Handle {
  consume(stream: object): void
}

/**
 * Sees to it that native code which takes the stream of a handle gets that of the connection behind it: TLS, which wraps
 * handles, and HTTP/2, which consumes them.
 */
export class NativeUse {
  readonly #internals: Internals
  /** The TLS engine that sits on a handle, which may be an engine itself. */
  readonly #engines = new WeakMap<object, TlsWrap>()
  #originalWrap: TlsBinding['wrap'] | undefined
  #http2: 'unseen' | 'expected' | 'hooked' = 'unseen'

  constructor(internals: Internals) {
    this.#internals = internals
  }

  install(): void {
    this.#hookIsStreamBase()
    const { tls } = this.#internals
    if (tls === undefined) return
    const original = tls.wrap
    this.#originalWrap = original
    tls.wrap = (handle, context, isServer, hasActiveWrite) =>
      this.#wrap(original, handle, context, isServer, hasActiveWrite)
  }

  /** Takes note of the engines under the TLS socket `owner`: those that it was made with have not come by {@link #wrap}. */
  learn(owner: object): void {
    let { _handle: handle } = owner as { readonly _handle?: { readonly _parent?: object } | null }
    for (; handle?._parent !== undefined; handle = handle._parent) {
      this.#engines.set(handle._parent, handle as TlsWrap)
    }
  }

  #hookIsStreamBase(): void {
    const asked = (handle: TcpHandle): void => {
      this.asked(handle)
    }
    Object.defineProperty(this.#internals.prototype, 'isStreamBase', {
      configurable: true,
      get(this: TcpHandle) {
        asked(this)
        return true
      },
    })
  }

  /** Somebody has asked whether `handle` is a stream base: HTTP/2 does so before it consumes it. */
  asked(handle: TcpHandle): void {
    if (this.#http2 === 'hooked' || !http2IsLoaded()) return
    const owner = ownerOf(this.#internals, handle) as OwnerSocket | undefined
    if (owner?.connecting === true) this.#http2 = 'expected'
    else if (connectionOf(handle) !== undefined) this.#watchForHttp2()
  }

  // HTTP/2 makes its native session in the very turn; nothing else gives away the class.
  #watchForHttp2(): void {
    const { TCP } = this.#internals
    const hook = createHook({
      init: (_id, type, _trigger, resource) => {
        if (type !== 'HTTP2SESSION' || this.#http2 === 'hooked') return
        this.#http2 = 'hooked'
        const prototype = Object.getPrototypeOf(resource) as Http2Handle
        const original = prototype.consume
        const streamOf = (handle: object): object => {
          const connection = handle instanceof TCP ? connectionOf(handle) : undefined
          return connection === undefined ? handle : this.#streamOver(connection).base
        }
        prototype.consume = function (this: Http2Handle, handle) {
          original.call(this, streamOf(handle))
        }
      },
    })
    hook.enable()
    process.nextTick(() => {
      hook.disable()
    })
  }

  /** The socket of the TLS engine on `handle`, where there is one. */
  tlsSocketOn(handle: TcpHandle): OwnerSocket | undefined {
    return this.#ownerOf(this.#engines.get(handle))
  }

  #ownerOf(engine: TlsWrap | undefined): OwnerSocket | undefined {
    return (engine as unknown as Record<symbol, OwnerSocket | undefined> | undefined)?.[this.#internals.owner]
  }

  #wrap(
    original: TlsBinding['wrap'],
    handle: object,
    context: object,
    isServer: boolean,
    hasActiveWrite: boolean,
  ): TlsWrap {
    const connection = handle instanceof this.#internals.TCP ? connectionOf(handle) : undefined
    const stream = connection === undefined ? undefined : this.#streamOver(connection)
    const engine = original(stream?.base ?? handle, context, isServer, hasActiveWrite)
    stream?.underTls(engine)
    this.#engines.set(handle, engine)
    return engine
  }

  #streamOver(connection: Connection): NativeStream {
    if (connection.consumer instanceof NativeStream) return connection.consumer
    const stream = new NativeStream(this.#internals, connection)
    connection.consumer = stream
    return stream
  }

  /**
   * A handle that TLS has wrapped before it was connected has got a connection: the engine moves on to it. It has not spoken
   * yet, so a new one that is told the same takes its place, as Node does when it tries the next address.
   */
  established(handle: TcpHandle): void {
    if (this.#http2 === 'expected') this.#watchForHttp2()
    this.#move(handle, handle)
  }

  // Engines on engines, such as TLS through a proxy that is reached by TLS, move from the bottom up.
  #move(from: object, to: object): void {
    const old = this.#engines.get(from)
    const socket = this.#ownerOf(old)
    const wrap = this.#originalWrap
    if (
      old === undefined ||
      socket === undefined ||
      wrap === undefined ||
      (socket._handle as unknown) !== old
    )
      return
    const engine = this.#wrap(wrap, to, old._secureContext.context, false, false)
    retell(socket as TlsOwner, old, engine)
    engine._parent = to
    this.#move(old, engine)
    old.destroySSL()
  }
}

function http2IsLoaded(): boolean {
  return (process as unknown as { moduleLoadList: string[] }).moduleLoadList.includes('NativeModule http2')
}

/** What tells a client's engine what to do, besides the engine's own properties. */
interface TlsOwner extends OwnerSocket {
  ssl: TlsWrap | null
  readonly _requestCert: boolean
  readonly _rejectUnauthorized: boolean
  readonly _tlsOptions: {
    readonly ALPNProtocols?: Uint8Array
    readonly pskCallback?: unknown
    readonly enableTrace?: boolean
  }
}

function retell(socket: TlsOwner, from: TlsWrap, to: TlsWrap): void {
  for (const key of Reflect.ownKeys(from)) {
    const descriptor = Object.getOwnPropertyDescriptor(from, key)
    if (descriptor !== undefined) Object.defineProperty(to, key, descriptor)
  }
  to.onread = from.onread
  const options = socket._tlsOptions
  if (socket._requestCert || socket._rejectUnauthorized) {
    to.setVerifyMode(socket._requestCert, socket._rejectUnauthorized)
  }
  if (options.ALPNProtocols !== undefined) to.setALPNProtocols(options.ALPNProtocols)
  if (options.pskCallback !== undefined) to.enablePskCallback()
  if (options.enableTrace === true) to.enableTrace()
  if (socket.listenerCount('keylog') > 0) to.enableKeylogCallback()
  if (socket.listenerCount('session') > 0) to.enableSessionCallbacks()
  const session = from.getSession()
  if (session !== undefined) to.setSession(session)
  const servername = from.getServername()
  if (servername) to.setServername(servername)
  const buffer = userBufferOf(socket)
  if (buffer !== undefined) to.useUserBuffer(buffer)
  const current = symbolOf(socket, 'res')
  if (current !== undefined) (socket as unknown as Record<symbol, TlsWrap>)[current] = to
  socket._handle = to as never
  socket.ssl = to
}

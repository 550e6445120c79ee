import { AsyncResource } from 'node:async_hooks'
import net from 'node:net'

/**
 * The parts of Node's own `net` that no public interface names, gathered in one place. Each was found on the Node
 * versions of the support table; the tests run on all of them.
 */
export interface TcpHandle {
  readonly fd: number
  reading?: boolean
  onread: OnRead | undefined
  onconnection?: (status: number, client?: TcpHandle) => void
  readonly isStreamBase: boolean
  connect(request: ConnectRequest, address: string, port: number): number
  connect6(request: ConnectRequest, address: string, port: number): number
  bind(address: string, port: number, flags?: number): number
  bind6(address: string, port: number, flags?: number): number
  listen(backlog: number): number
  open(fd: number): number
  readStart(): number
  readStop(): number
  shutdown(request: object): number
  close(done?: () => void): void
  reset(done?: () => void): number
  ref(): void
  unref(): void
  hasRef(): boolean
  useUserBuffer(buffer: Uint8Array): void
  asyncReset(resource: object): void
  setNoDelay(on: boolean): number
  setKeepAlive(on: boolean, delaySeconds: number): number
  getsockname(out: object): number
  getpeername(out: object): number
}

export type OnRead = (this: TcpHandle, buffer: ArrayBuffer | undefined) => Uint8Array | undefined

export interface ConnectRequest {
  oncomplete?: (
    status: number,
    handle: TcpHandle,
    request: ConnectRequest,
    readable: boolean,
    writable: boolean,
  ) => void
}

/** What this face uses of a socket or server beyond their public members. */
export interface OwnerSocket extends net.Socket {
  _handle: TcpHandle | null
  readonly encrypted?: boolean
  readonly parser?: object | null
  _pendingData: unknown
  _pendingEncoding: string
  _unrefTimer(): void
  _writeGeneric: WriteGeneric
}
export type WriteGeneric = (
  this: OwnerSocket,
  writev: boolean,
  data: unknown,
  encoding: BufferEncoding,
  callback: (error?: Error | null) => void,
) => void

export interface OwnerServer extends net.Server {
  _handle: TcpHandle | null
  readonly _connections: number
  readonly dropMaxConnection?: boolean
}

/** A stream base for native code whose other side is JavaScript. */
export interface JsStream {
  onread: OnRead | undefined
  isClosing: () => boolean
  onreadstart: () => number
  onreadstop: () => number
  onwrite: (request: object, chunks: Uint8Array[]) => number
  onshutdown: (request: object) => number
  /** Copies `bytes` to whoever listens. */
  readBuffer(bytes: Uint8Array): void
  emitEOF(): void
  finishWrite(request: object, status: number): void
  finishShutdown(request: object, status: number): void
}

/** Node's TLS engine over a stream base; the `_handle` of a `TLSSocket`. */
export interface TlsWrap {
  onread: OnRead | undefined
  _parent: object
  readonly _secureContext: { readonly context: object }
  getServername(): string | undefined
  setServername(name: string): void
  getSession(): Buffer | undefined
  setSession(session: Buffer): void
  setVerifyMode(requestCert: boolean, rejectUnauthorized: boolean): void
  setALPNProtocols(protocols: Uint8Array): void
  enableKeylogCallback(): void
  enableSessionCallbacks(): void
  enablePskCallback(): void
  enableTrace(): void
  destroySSL(): void
  useUserBuffer(buffer: Uint8Array): void
}

export interface TlsBinding {
  wrap(stream: object, context: object, isServer: boolean, hasActiveWrite: boolean): TlsWrap
}

interface StreamState {
  readonly state: Int32Array
  readonly readBytesOrError: number
  readonly arrayBufferOffset: number
}

export interface Internals {
  readonly TCP: new (kind: number) => TcpHandle
  readonly prototype: TcpHandle
  /** Key under which a handle names its socket or server. */
  readonly owner: symbol
  readonly stream: StreamState
  readonly JSStream: new () => JsStream
  /** Missing where Node was built without TLS. */
  readonly tls: TlsBinding | undefined
}

/** Since Node 22.9 a write that `destroy` cuts off ends with its error; before, as if it had been good. */
export const TELLS_OF_CUT_WRITES = isAtLeast(22, 9)

function isAtLeast(major: number, minor: number): boolean {
  const [ours = 0, oursMinor = 0] = process.versions.node.split('.').map(Number)
  return ours > major || (ours === major && oursMinor >= minor)
}

const SOCKET_KIND = 0

interface Bindings {
  binding(name: 'tcp_wrap'): { TCP: new (kind: number) => TcpHandle }
  binding(name: 'js_stream'): { JSStream: new () => JsStream }
  binding(name: 'tls_wrap'): TlsBinding
  binding(name: 'stream_wrap'): {
    streamBaseState: Int32Array
    kReadBytesOrError: number
    kArrayBufferOffset: number
  }
}

/** Throws where Node does not let a program at its bindings (`--permission`). */
export function findInternals(): Internals {
  const bindings = process as unknown as Bindings
  // A deprecation warning that only --pending-deprecation shows would be about us, not about the program.
  const quiet = process.noDeprecation
  process.noDeprecation = true
  try {
    const { TCP } = bindings.binding('tcp_wrap')
    const { streamBaseState, kReadBytesOrError, kArrayBufferOffset } = bindings.binding('stream_wrap')
    const { JSStream } = bindings.binding('js_stream')
    const prototype = TCP.prototype as TcpHandle
    return {
      TCP,
      prototype,
      owner: ownerSymbol(TCP),
      stream: {
        state: streamBaseState,
        readBytesOrError: kReadBytesOrError,
        arrayBufferOffset: kArrayBufferOffset,
      },
      JSStream,
      tls: 'openssl' in process.versions ? bindings.binding('tls_wrap') : undefined,
    }
  } finally {
    if (quiet === undefined) delete (process as { noDeprecation?: boolean }).noDeprecation
    else process.noDeprecation = quiet
  }
}

function ownerSymbol(TCP: Internals['TCP']): symbol {
  const handle = new TCP(SOCKET_KIND)
  ;(handle as { owner?: unknown }).owner = {}
  const found = Object.getOwnPropertySymbols(handle).find((symbol) => symbol.description === 'owner_symbol')
  handle.close()
  if (found === undefined) throw new Error('Cannot install the net face: this Node has no owner_symbol')
  return found
}

/** An own or inherited symbol of `object` by its description. */
export function symbolOf(object: object, description: string): symbol | undefined {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertySymbols(at).find((symbol) => symbol.description === description)
    if (found !== undefined) return found
  }
  return undefined
}

let bufferKey: symbol | undefined

/** The buffer that the user of a socket gave it to read into. */
export function userBufferOf(socket: object | null | undefined): Uint8Array | undefined {
  if (!socket) return undefined
  bufferKey ??= symbolOf(socket, 'kBuffer')
  const buffer = bufferKey === undefined ? undefined : (socket as Record<symbol, unknown>)[bufferKey]
  return buffer instanceof Uint8Array ? buffer : undefined
}

export function ownerOf(internals: Internals, handle: TcpHandle): OwnerSocket | OwnerServer | undefined {
  return (handle as unknown as Record<symbol, OwnerSocket | OwnerServer | undefined>)[internals.owner]
}

export function newSocketHandle(internals: Internals): TcpHandle {
  return new internals.TCP(SOCKET_KIND)
}

type ResourceKind = 'TCPWRAP' | 'TCPCONNECTWRAP' | 'TCPSERVERWRAP' | 'WRITEWRAP' | 'SHUTDOWNWRAP'

/** A resource for `async_hooks` and `AsyncLocalStorage`, as the handle of that kind would be. */
export function asyncResource(kind: ResourceKind): AsyncResource {
  return new AsyncResource(kind, { requireManualDestroy: true })
}

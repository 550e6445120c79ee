/**
 * The parts of Node's native TCP that no public interface reaches, gathered in one place: `net` can neither bind a socket
 * before it connects nor write a part of what it is given. Each was found on the Node versions of the support table.
 */
export interface TcpHandle {
  onread: ((this: TcpHandle, buffer: ArrayBuffer | undefined) => void) | undefined
  onconnection: ((status: number, client?: TcpHandle) => void) | undefined
  bind(address: string, port: number, flags?: number): number
  bind6(address: string, port: number, flags?: number): number
  listen(backlog: number): number
  connect(request: object, address: string, port: number): number
  connect6(request: object, address: string, port: number): number
  readStart(): number
  readStop(): number
  writeBuffer(request: object, buffer: Uint8Array): number
  shutdown(request: object): number
  close(done?: () => void): void
  reset(done?: () => void): number
  setNoDelay(on: boolean): number
  setKeepAlive(on: boolean, delaySeconds: number): number
  getsockname(out: object): number
  getpeername(out: object): number
}

interface Request {
  oncomplete: (status: number) => void
  /** Keeps what is being written from being collected. */
  buffer?: Uint8Array
}

export interface TcpBinding {
  readonly newHandle: () => TcpHandle
  readonly newConnect: () => Request
  readonly newWrite: () => Request
  readonly newShutdown: () => Request
  /** What the last read or write brought: see {@link readResult}, {@link readOffset}, {@link wasAsync}. */
  readonly state: Int32Array
  readonly readResult: number
  readonly readOffset: number
  readonly wasAsync: number
  readonly ipv6Only: number
}

interface Bindings {
  binding(name: 'tcp_wrap'): {
    readonly TCP: new (kind: number) => TcpHandle
    readonly TCPConnectWrap: new () => Request
    readonly constants: { readonly UV_TCP_IPV6ONLY: number }
  }
  binding(name: 'stream_wrap'): {
    readonly WriteWrap: new () => Request
    readonly ShutdownWrap: new () => Request
    readonly streamBaseState: Int32Array
    readonly kReadBytesOrError: number
    readonly kArrayBufferOffset: number
    readonly kLastWriteWasAsync: number
  }
}

/** `TCPConstants.SOCKET`; what a handle is called by `async_hooks`, no more. */
const SOCKET = 0

let found: TcpBinding | undefined

/** Throws where Node does not let a program at its bindings (`--permission`). */
export function tcpBinding(): TcpBinding {
  return (found ??= find())
}

function find(): TcpBinding {
  // A deprecation warning that only --pending-deprecation shows would be about us, not about the program.
  const quiet = process.noDeprecation
  process.noDeprecation = true
  try {
    const bindings = process as unknown as Bindings
    const tcp = bindings.binding('tcp_wrap')
    const stream = bindings.binding('stream_wrap')
    return {
      newHandle: () => new tcp.TCP(SOCKET),
      newConnect: () => new tcp.TCPConnectWrap(),
      newWrite: () => new stream.WriteWrap(),
      newShutdown: () => new stream.ShutdownWrap(),
      state: stream.streamBaseState,
      readResult: stream.kReadBytesOrError,
      readOffset: stream.kArrayBufferOffset,
      wasAsync: stream.kLastWriteWasAsync,
      ipv6Only: tcp.constants.UV_TCP_IPV6ONLY,
    }
  } finally {
    if (quiet === undefined) delete (process as { noDeprecation?: boolean }).noDeprecation
    else process.noDeprecation = quiet
  }
}

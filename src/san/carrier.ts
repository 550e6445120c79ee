import type {
  ConnectionMemory,
  ConnectionRequest,
  MemoryRegion,
  Overlapped,
  ProviderLimits,
  RdmaAccess,
  RegisteredMemory,
  Result,
  Sharing,
  SocketAddress,
  Status,
  WsaCode,
} from '../spi/index.ts'
import type { Listener } from './listener.ts'
import type { Startups } from './startups.ts'

/**
 * What a provider brings: a way to meet, and connections. {@link CarriedSocket} makes `SanSocket`s of it, with their states,
 * events, completions, queues and order of closing. No call below comes with a wrong state or a value out of range, and none
 * may call the socket back before it has returned.
 */
export interface Carrier {
  /** Where its sockets belong. */
  readonly startups: Startups
  readonly bounds: ProviderLimits
  /** The smallest memory that may be registered, in bytes. */
  readonly minMemoryBytes: number
  /** Runs `job` in a turn of its own; jobs keep their order. No upcall is made from inside a down-call (UP-1). */
  readonly schedule: (job: () => void) => void
  /** True inside {@link Connection.poll}: what is heard of other connections is told in turns of their own. */
  readonly isPolling?: boolean
  /** True where listeners may share their address. */
  readonly shares?: boolean
  /** True when a socket may be bound to this address, which is no wildcard. */
  serves(address: SocketAddress): boolean
  /** Lets requests for the listener's address reach {@link Listener.offer}; 0 or why that cannot be. */
  listen(listener: Listener, sharing: Sharing | undefined): Status
  unlisten(listener: Listener): void
  /** Asks whoever listens at `request.local` for a connection. Whoever asks hears of the answer; a failure is final. */
  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt>
}

/** A connect that has no answer yet. */
export interface Attempt {
  /** Gives it up for good (CONNECT-3); nobody is told any more. */
  close(): void
}

/** What whoever connects, or has accepted, is told. Whatever comes too late means nothing. */
export interface ConnectionOwner {
  /** The connect has succeeded. */
  accepted(connection: Connection, calleeData: Uint8Array): void
  /** The peer's answer takes a while. */
  judging(): void
  /** The connect has failed. */
  refused(code: WsaCode): void
  /** The peer has signalled; everything it wrote before can be read. */
  signalled(): void
  /** The peer is gone, after its last signal: `WSAECONNRESET`, or `WSAECONNABORTED` where nobody knows what became of it. */
  ended(code: WsaCode): void
  /** An operation that was pending has ended; it is announced. */
  completed(overlapped: Overlapped): void
}

/** One end of a connection. Closing it frees everything, once the peer is through with it. */
export interface Connection extends Attempt {
  /** MEM-1, MEM-2. */
  readonly memory: ConnectionMemory
  /** MEM-3. @param bytes A power of two within the bounds. */
  register(bytes: number): Result<RegisteredMemory>
  /** `WSAEINVAL` for memory that {@link register} has not answered, or that was given back. */
  deregister(memory: RegisteredMemory): Status
  /** MEM-4: the numbers are the peer's words. */
  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion>
  /** RDMA-2. `WSAEINVAL` for memory that is neither the send region nor registered; the range is inside of it. */
  write(memory: RegisteredMemory, offset: number, length: number): Status
  /** SIGNAL-1. */
  signal(): Status
  /** Looks for what the peer has done, where nobody is told of it otherwise. */
  poll?(): void
  /** DUP-1, of carriers whose bounds say `duplicates`: another process has the connection then, and only `close` follows. */
  duplicate?(processId: number): Result<Uint8Array>
  /** EXPOSE-1 to -3, of carriers whose bounds say `rdma`; so below. */
  expose?(memory: Uint8Array, access: RdmaAccess): Result<number>
  /** EXPOSE-4. */
  conceal?(descriptor: number): Status
  /** READ-1 to -4. */
  read?(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status
}

/** A request that waits at a {@link Listener}: whoever asks hears of it what becomes of it. */
export interface IncomingRequest extends ConnectionRequest {
  /** False once its opener has given it up, or is gone. */
  isOpen(): boolean
  /** Makes our end of the connection, and tells the opener. A failure is followed by {@link refuse}. */
  accept(owner: ConnectionOwner, calleeData: Uint8Array): Result<Connection>
  /** Tells the opener no; also where it has given up, and waits to hear that we know. */
  refuse(code: WsaCode): void
  /** Tells the opener that the answer takes a while; false when that cannot be. `withdrawn` is called once it gives up. */
  pend(withdrawn: () => void): boolean
  /** The answer follows. */
  unpend(): void
}

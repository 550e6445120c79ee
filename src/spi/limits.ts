import type { RdmaLimits } from './rdma.ts'

/** The largest session negotiation message, each way, in bytes (WSD-NEG-4). */
export const MAX_CONNECT_DATA_BYTES = 256

/** `listen` with this backlog lets the provider choose (WSD-LISTEN-6). */
export const SOMAXCONN = 0x7fffffff

/** The version of this interface; `startup` refuses another major number. */
export const SPI_VERSION = { major: 1, minor: 0 } as const

/** What a provider says of itself when it starts. */
export interface ProviderLimits {
  /** Bytes of each region of {@link ConnectionMemory}: at least 1216 (a session header of 192 and a ring of 1024). */
  readonly regionBytes: number
  /** Largest region that `registerMemory` gives; 0 when a socket has its two regions and no more. */
  readonly maxMemoryBytes: number
  /** A large write is published in pieces of about this many bytes, so that copying in and out overlap. */
  readonly pieceBytes: number
  /** Present: the provider moves application memory, as {@link RdmaSocket} says. */
  readonly rdma?: RdmaLimits | undefined
  /** True: {@link SanSocket.duplicate} hands connections to other processes. */
  readonly duplicates?: boolean | undefined
}

import type { SocketAddress, Stream } from '../../spi/index.ts'
import type { Liveness } from '../../base/liveness.ts'
import type { Internals, TcpHandle } from './internals.ts'

export interface ConnectionEnvironment {
  readonly internals: Internals
  readonly liveness: Liveness
  /** Runs a job soon, in a callback of its own. */
  readonly schedule: (job: () => void) => void
  /** As `schedule`, but before everything else that waits. */
  readonly soon: (job: () => void) => void
  /** Makes the call of native code that is prepared soon, outside of any callback. */
  readonly scheduleOutside: (prepare: () => NativeCall | undefined) => void
}

export interface ConnectionParts {
  readonly handle: TcpHandle
  readonly session: Stream
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly provider: string
  readonly direction: 'in' | 'out'
  /** Gives back what the connection held besides the session, such as a reserved port. */
  readonly release: () => void
}

/** Takes what is read in place of the socket: native code, behind a `NativeStream`. */
export interface Consumer {
  /** @param bytes Borrowed until the call is made. */
  data(bytes: Uint8Array): NativeCall
  /** The stream is over: `UV_EOF`, or an error. */
  over(status: number): NativeCall | undefined
}

/** A call of native code: receiver, method, argument. */
export type NativeCall = readonly [receiver: object, method: unknown, argument: unknown]

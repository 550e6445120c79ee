import type { ServedSubnet, SocketAddress } from './address.ts'
import type { Result, Status } from './errors.ts'
import type { ProviderLimits } from './limits.ts'
import type { SanSocket } from './socket.ts'
import type { Upcalls } from './upcalls.ts'

/** What the switch says when it starts a provider. */
export interface StartupRequest {
  /** The interface version the switch was built for; {@link SPI_VERSION}. */
  readonly version: { readonly major: number; readonly minor: number }
  readonly upcalls: Upcalls
}

/** What a provider answers. */
export interface ProviderData {
  readonly version: { readonly major: number; readonly minor: number }
  /** One line for people: what carries the data. */
  readonly description: string
  readonly limits: ProviderLimits
}

/** What kind of socket is wanted. Always a stream over TCP semantics; raw and datagram sockets never get here. */
export interface SocketRequest {
  readonly family: SocketAddress['family']
  /** From {@link SanSocket.duplicate}: materialise that socket here instead of making a new one. */
  readonly duplicate?: Uint8Array
}

/** One thing that a connect to an address depends on. */
export interface ProbeStep {
  /** What was looked at, in a few words: `TCP listener`. */
  readonly what: string
  /** 0, or what a connect would fail with because of it. */
  readonly status: Status
  /** What was found. */
  readonly detail: string
  /** The process that was found, where it is one of this host. */
  readonly processId?: number
}

/**
 * A SAN service provider: carries connections over something faster than TCP/IP.
 *
 * - PROVIDER-1 `startup` with another major version answers `WSAVERNOTSUPPORTED` and starts nothing.
 * - PROVIDER-2 `startup` may be called again; each success needs its own `cleanup`, and only the last one cleans up.
 * - PROVIDER-3 `cleanup` without `startup` answers `WSANOTINITIALISED`.
 * - PROVIDER-4 The last `cleanup` closes every socket as {@link SanSocket.close} does.
 * - PROVIDER-5 `socket` before `startup` or after the last `cleanup` answers `WSANOTINITIALISED`.
 *
 * @source SPI functions WSPStartupEx, WSPCleanup, WSPSocket, WSPIoctl(SIO_ADDRESS_LIST_QUERY); WSD §4.1
 */
export interface SanProvider {
  /** Short, lower case, the same in every process: `shm`. */
  readonly name: string
  startup(request: StartupRequest): Result<ProviderData>
  cleanup(): Status
  /** The local networks it serves now. The switch asks at start-up and after every address change (WSD-ADDR-6, -7). */
  addressList(): Result<readonly ServedSubnet[]>
  /**
   * Makes a SAN socket.
   *
   * - SOCKET-1 Calls `createSocketHandle` before it returns, and keeps the switch descriptor (WSD-COMP-2, -3).
   * - SOCKET-2 Returns the provider's own descriptor, never the switch's.
   *
   * Fails with `WSANOTINITIALISED`, `WSAEAFNOSUPPORT`, `WSAEMFILE`, `WSAENOBUFS`; with `WSAEOPNOTSUPP` for a duplicate
   * that the provider cannot take over.
   */
  socket(request: SocketRequest): Result<SanSocket>
  /**
   * Optional. Looks at what a connect to `address` depends on, in that order and up to the first step that fails, which
   * answers what the connect would fail with. Leaves nothing behind, and no application hears of it.
   */
  probe?(address: SocketAddress): readonly ProbeStep[]
  /**
   * Optional. How many more connections it could carry, as far as it knows. Asked before one moves here from another process: without
   * room it would be lost.
   */
  room?(): number
  /**
   * The application is about to give `memory` away, or to let it go: whatever the provider keeps of it in a cache of
   * registrations must not be used again.
   *
   * - CACHE-1 When it returns nothing that overlaps `memory` is cached: 0, or `WSAEINVAL` when nothing was.
   *
   * @source WSPMemoryRegistrationCacheCallback; WSD-CACHE-5, -6, -10, RACE-38
   */
  evict?(memory: Uint8Array): Status
}

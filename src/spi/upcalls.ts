import type { Overlapped } from './overlapped.ts'
import type { Result, Status, WsaCode } from './errors.ts'

declare const switchHandleBrand: unique symbol

/**
 * The *switch descriptor* of a SAN socket: what the provider passes in upcalls, and nothing else. The provider's own
 * descriptor is its {@link SanSocket} object, which the switch uses in down-calls. The two are never mixed (WSD-COMP-4).
 */
export interface SwitchHandle {
  readonly [switchHandleBrand]: true
}

/**
 * What a provider may call in the switch; handed over by `startup`.
 *
 * - UP-1 No upcall is made from inside a down-call on the same socket, except `createSocketHandle` and
 *   `querySocketHandleContext`.
 * - UP-2 No upcall with a handle follows `closeSocketHandle` of that handle.
 *
 * @source WSPUPCALLTABLEEX; WSD-START-6, `UP-R2`, `UP-R3`
 */
export interface Upcalls {
  /** Makes a switch descriptor that carries `context`, an object of the provider. @source WPUCreateSocketHandle */
  createSocketHandle(context: object): Result<SwitchHandle>
  /** Gives `context` back; `WSAENOTSOCK` after `closeSocketHandle`. @source WPUQuerySocketHandleContext */
  querySocketHandleContext(handle: SwitchHandle): Result<object>
  /**
   * Announces the end of an operation that is not silent, exactly once, after `overlapped.end`.
   *
   * @param status 0, or why the operation failed.
   * @source WPUCompleteOverlappedRequest
   */
  completeOverlappedRequest(
    handle: SwitchHandle,
    overlapped: Overlapped,
    status: 0 | WsaCode,
    bytes: number,
  ): Status
  /** The last upcall of a socket, once. @source WPUCloseSocketHandle; WSD-CLOSE-6 */
  closeSocketHandle(handle: SwitchHandle): Status
}

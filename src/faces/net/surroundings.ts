import type { SocketAddress } from '../../spi/index.ts'
import type { Reason } from '../../switch/reasons.ts'
import type { Switch } from '../../switch/switch.ts'
import type { Connection, ConnectionEnvironment } from './connection.ts'
import type { Internals, TcpHandle } from './internals.ts'
import type { NativeUse } from './native-use.ts'
import type { ReservedPorts } from './reserved-ports.ts'

/** What the connecting and the listening half of the face share. */
export interface Surroundings {
  readonly switch: Switch
  readonly internals: Internals
  readonly environment: ConnectionEnvironment
  readonly native: NativeUse
  readonly ports: ReservedPorts
  /** Which sockets and servers are this face's business. */
  covers(owner: object | undefined): boolean
  /** Lets `handle` carry a SAN connection. */
  adopt(handle: TcpHandle, parts: Omit<Connection['parts'], 'handle'>): void
}

/** Why TCP/IP carries the connection of a handle. */
const REASON = Symbol('sockswitch.reason')
type Noted = TcpHandle & { [REASON]?: Reason }

export function noteReason(handle: TcpHandle, reason: Reason): void {
  ;(handle as Noted)[REASON] = reason
}

export function reasonOf(handle: TcpHandle): Reason | undefined {
  return (handle as Noted)[REASON]
}

/** What to do when a handle is closed, and once its descriptor is; one thing at a time. */
const BEFORE_CLOSE = Symbol('sockswitch.beforeClose')
const AFTER_CLOSE = Symbol('sockswitch.afterClose')
type Closing = TcpHandle & {
  [BEFORE_CLOSE]?: (() => void) | undefined
  [AFTER_CLOSE]?: (() => void) | undefined
}

export function beforeClose(handle: TcpHandle, action: () => void): void {
  ;(handle as Closing)[BEFORE_CLOSE] = action
}

export function afterClose(handle: TcpHandle, action: () => void): void {
  ;(handle as Closing)[AFTER_CLOSE] = action
}

export function hookClose({ prototype }: Internals): void {
  const original = prototype.close
  prototype.close = function (this: Closing, done) {
    const before = this[BEFORE_CLOSE]
    if (before !== undefined) {
      this[BEFORE_CLOSE] = undefined
      before()
    }
    const after = this[AFTER_CLOSE]
    original.call(this, done)
    if (after !== undefined) {
      this[AFTER_CLOSE] = undefined
      after()
    }
  }
}

/** As the address is shown to a program that wrote it in IPv6's clothes, or did not. */
export type ShowAddress = (plain: SocketAddress) => SocketAddress

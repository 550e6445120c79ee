import { ChildProcess } from 'node:child_process'
import net from 'node:net'
import type { HandOver } from './hand-over.ts'
import { NO_OFFER, OFFER, OFFER_VERSION } from './cargo.ts'
import type { Offer } from './cargo.ts'
import type { OwnerServer, OwnerSocket, TcpHandle } from './internals.ts'
import { symbolOf } from './internals.ts'

/** What becomes of sockets that leave this process, and of those that come. */
export interface HandOffs {
  /**
   * Lets the switched connection of `handle` go with the handle, unless that `isKept` here, too; undefined where it does not, and
   * the handle has a genuine descriptor.
   */
  handOver(handle: TcpHandle, isKept: boolean): HandOver | undefined
  /** Puts a genuine descriptor under `handle` where it is switched. */
  bridge(handle: TcpHandle): void
  /** A socket has come that was offered; `done` gets the handle for the application. */
  takeOver(descriptor: TcpHandle, offer: Offer, done: (handle: TcpHandle) => void): void
}

/** A child process, or this process as the child of another: either end of an IPC channel. */
interface Correspondent {
  readonly channel?: object | null
  /** Waits for the other end to take the last handle; nothing is sent meanwhile. */
  readonly _handleQueue?: readonly unknown[] | null
  _send?: (message: unknown, handle?: unknown, options?: unknown, callback?: unknown) => boolean
  emit: (event: string | symbol, ...rest: unknown[]) => boolean
}

/** How Node itself wraps a message that comes with a handle. */
interface HandleMessage {
  readonly cmd?: string
  readonly type?: string
  readonly msg?: unknown
}

/** Sees every socket and server that goes to another process or thread, and every socket that comes from one. */
export function installHandOffs(handOffs: HandOffs): void {
  const guard = (correspondent: Correspondent): void => {
    if (typeof correspondent._send !== 'function') return
    guardSend(correspondent, handOffs)
    guardEmit(correspondent, handOffs)
  }
  guard(process as unknown as Correspondent)
  for (const child of childrenSoFar()) guard(child)
  const prototype = ChildProcess.prototype as unknown as { spawn: (...args: unknown[]) => unknown }
  const spawn = prototype.spawn
  prototype.spawn = function (this: Correspondent, ...args) {
    const result = spawn.apply(this, args)
    guard(this)
    return result
  }
  // Newer Node versions transfer sockets between threads.
  const transferList = symbolOf(net.Socket.prototype, 'messaging_transfer_list_symbol')
  if (transferList === undefined) return
  const sockets = net.Socket.prototype as unknown as Record<symbol, (this: OwnerSocket) => unknown>
  const original = sockets[transferList]
  sockets[transferList] = function () {
    if (this._handle !== null) handOffs.bridge(this._handle)
    return original?.call(this)
  }
}

/** The children that this process has had before it made its first switched socket; Node lists those that keep it alive. */
function childrenSoFar(): Correspondent[] {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): readonly object[] }
  return handles().filter((handle) => handle instanceof ChildProcess)
}

// What `send` queues comes here again when its turn has come.
function guardSend(correspondent: Correspondent, handOffs: HandOffs): void {
  const send = correspondent._send as NonNullable<Correspondent['_send']>
  correspondent._send = function (this: Correspondent, message, handle, options, callback) {
    const native = this._handleQueue ? null : (handle as OwnerSocket | OwnerServer | undefined)?._handle
    if (!native) return send.call(this, message, handle, options, callback)
    // Where both processes go on using it, it must be one descriptor.
    const isKept = (options as { readonly keepOpen?: boolean } | undefined)?.keepOpen === true
    const handOver = handOffs.handOver(native, isKept)
    if (handOver === undefined) return send.call(this, message, handle, options, callback)
    try {
      send.call(this, handOver.offer, undefined, true)
      const sent = send.call(this, message, handle, options, callback)
      handOver.watch(
        () => !this.channel,
        () => {
          native.close()
        },
      )
      return sent
    } catch (error) {
      handOver.unsent()
      // The next socket is another one.
      send.call(this, NO_OFFER, undefined, true)
      throw error
    }
  }
}

function guardEmit(correspondent: Correspondent, handOffs: HandOffs): void {
  const emit = correspondent.emit
  let offer: Offer | undefined
  /** Messages whose socket is being taken over, and what must not overtake them. */
  let taking = 0
  let waiting: (readonly [event: string | symbol, ...rest: unknown[]])[] = []
  const deliver = (target: Correspondent, message: HandleMessage, handle: TcpHandle): void => {
    taking -= 1
    // Node delivers nothing any more when the channel has been closed meanwhile.
    if (target.channel) emit.call(target, 'internalMessage', message, handle)
    else emit.call(target, 'message', message.msg, socketOf(handle))
    if (taking > 0) return
    const events = waiting
    waiting = []
    for (const event of events) emit.apply(target, event as never)
  }
  const guarded: Correspondent['emit'] = function (this: Correspondent, event, ...rest) {
    if (event === 'internalMessage') {
      const [message, handle] = rest as [HandleMessage, TcpHandle | undefined]
      if (message.cmd === OFFER) {
        offer = message as Offer
        return true
      }
      if (message.cmd === 'NODE_HANDLE') {
        const offered = offer
        offer = undefined
        if (offered?.version === OFFER_VERSION && handle && message.type === 'net.Socket') {
          taking += 1
          handOffs.takeOver(handle, offered, (taken) => {
            deliver(this, message, taken)
          })
          return true
        }
      }
    } else if (event === 'disconnect' && taking > 0) {
      waiting.push([event, ...rest])
      return true
    }
    return emit.call(this, event, ...rest)
  }
  Object.defineProperty(correspondent, 'emit', { value: guarded, writable: true, configurable: true })
}

function socketOf(handle: TcpHandle): net.Socket {
  return new net.Socket({ handle, readable: true, writable: true } as net.SocketConstructorOpts)
}

import { ChildProcess } from 'node:child_process'
import net from 'node:net'
import type { OwnerServer, OwnerSocket, TcpHandle } from './internals.ts'
import { symbolOf } from './internals.ts'

const GUARDED = Symbol('sockswitch.guarded')

interface Sender {
  send?: ((message: unknown, handle?: unknown, ...rest: unknown[]) => boolean) & {
    [GUARDED]?: boolean
    disabled?: boolean
  }
}

/**
 * Calls `beforeHandOff` with the handle of every socket and server that is about to go to another process or thread,
 * because only genuine descriptors can.
 */
export function guardHandOffs(beforeHandOff: (handle: TcpHandle) => void): void {
  const guard = (sender: Sender): void => {
    const send = sender.send
    if (typeof send !== 'function' || send[GUARDED] === true || send.disabled === true) return
    const guarded: NonNullable<Sender['send']> = function (this: Sender, message, handle, ...rest) {
      const native = (handle as OwnerSocket | OwnerServer | undefined)?._handle
      if (native) beforeHandOff(native)
      return send.call(this, message, handle, ...rest)
    }
    guarded[GUARDED] = true
    sender.send = guarded
  }
  guard(process as Sender)
  const prototype = ChildProcess.prototype as unknown as { spawn: (...args: unknown[]) => unknown }
  const spawn = prototype.spawn
  prototype.spawn = function (this: Sender, ...args) {
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
    if (this._handle !== null) beforeHandOff(this._handle)
    return original?.call(this)
  }
}

import net from 'node:net'
import type { Stream } from '../../spi/index.ts'
import { decodePacked } from '../../switch/session/packed.ts'
import { decodeCargo, encodeTaker, self } from './cargo.ts'
import type { Cargo, Offer } from './cargo.ts'
import { connectionOf, showAddress } from './graft.ts'
import { newSocketHandle } from './internals.ts'
import type { OwnerSocket, TcpHandle } from './internals.ts'
import { LostStream } from './lost-stream.ts'
import { noteReason } from './surroundings.ts'
import type { Surroundings } from './surroundings.ts'

/** Connections that have been promised room and have not taken it. */
let coming = 0

/**
 * Takes a switched socket that another process has sent: asks, over the descriptor that came, for the session behind it.
 *
 * @param descriptor The handle that came.
 * @param done Called once, with the handle that the application gets: a switched one, or `descriptor` again, with a bridge
 *   behind it.
 */
export function takeOver(
  surroundings: Surroundings,
  descriptor: TcpHandle,
  offer: Offer,
  done: (handle: TcpHandle) => void,
): void {
  const hasRoom = surroundings.switch.roomFor(offer.provider) > coming
  if (hasRoom) coming += 1
  const finish = (handle: TcpHandle): void => {
    if (hasRoom) coming -= 1
    done(handle)
  }
  const socket = new net.Socket({
    handle: descriptor,
    readable: true,
    writable: true,
  } as net.SocketConstructorOpts)
  let heard = Buffer.alloc(0)
  const hear = (chunk: Buffer): void => {
    heard = Buffer.concat([heard, chunk])
    const cargo = decodeCargo(heard)
    if (cargo === 'more') return
    stop()
    if (cargo === 'other') lose()
    else if (cargo.moved) resume(cargo)
    else keep(cargo)
  }
  const lose = (): void => {
    stop()
    finish(
      carried(surroundings, {
        ...NOWHERE,
        session: new LostStream(new Uint8Array()),
        release: () => undefined,
      }),
    )
    socket.destroy()
  }
  const stop = (): void => {
    socket.off('data', hear).off('end', lose).off('close', lose)
  }
  const resume = ({ session, unsent, ends, typeOfService, ...parts }: Cargo): void => {
    const family = parts.local.address.includes('.') ? 'IPv4' : 'IPv6'
    surroundings.switch.resume(parts.provider, family, session, (result) => {
      const stream = result.ok
        ? result.value
        : new LostStream(decodePacked(session)?.unread.bytes ?? new Uint8Array())
      // While it is open, the old owner keeps the local port for us.
      if (parts.direction === 'in') socket.destroy()
      else socket.unref()
      const handle = carried(surroundings, { ...parts, session: stream, release: () => socket.destroy() })
      const connection = connectionOf(handle)
      if (connection !== undefined) connection.typeOfService = typeOfService
      if (unsent.length > 0) connection?.write([unsent], () => undefined)
      if (ends) connection?.shutdown(() => undefined)
      finish(handle)
    })
  }
  const keep = ({ local, remote }: Cargo): void => {
    // As Node does with a socket that it sends on.
    const owner = socket as OwnerSocket
    descriptor.readStop()
    descriptor.reading = false
    descriptor.onread = () => undefined
    owner._handle = null
    descriptor.getsockname = (out) => showAddress(out, local)
    descriptor.getpeername = (out) => showAddress(out, remote)
    noteReason(descriptor, 'bridged')
    finish(descriptor)
  }
  socket.on('data', hear).on('end', lose).on('close', lose)
  socket.on('error', () => {
    // 'close' follows.
  })
  socket.write(encodeTaker(offer.nonce, { ...self(), hasRoom }))
}

type Parts = Omit<Parameters<Surroundings['adopt']>[1], 'session'> & { readonly session: Stream }

const NOWHERE = {
  provider: 'shm',
  direction: 'in',
  local: { family: 'IPv4', address: '0.0.0.0', port: 0 },
  remote: { family: 'IPv4', address: '0.0.0.0', port: 0 },
} as const

/** A new handle, with a connection behind it. */
function carried(surroundings: Surroundings, parts: Parts): TcpHandle {
  const handle = newSocketHandle(surroundings.internals)
  surroundings.adopt(handle, parts)
  return handle
}

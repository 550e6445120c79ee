import { readlinkSync } from 'node:fs'
import { unmapped } from '../../base/mapped-address.ts'
import { WSA } from '../../spi/index.ts'
import type { SocketAddress, WsaCode } from '../../spi/index.ts'
import type { ShmNative } from '../../native/shm.ts'
import { EMFILE, ENOENT } from './errno.ts'

export interface Peer {
  readonly pid: number
  readonly uid: number
}

/** Who is at the other end of `fd`, if it is somebody we share memory with: the same user and nobody else. */
export function identifyPeer(native: ShmNative, fd: number): Peer | WsaCode {
  const peer = native.peerCredentials(fd)
  if (typeof peer === 'number') return WSA.WSAENETDOWN
  return peer.uid === process.getuid?.() ? peer : WSA.WSAEACCES
}

/** The TCP listener that a connect to `destination` would reach. */
export interface TcpListener {
  readonly uid: number
  readonly address: SocketAddress
  /** Which socket it is, as the kernel numbers them. */
  readonly cookie: string
  readonly inode: number
}

/**
 * Asks the kernel which TCP listener serves `destination`. Its bound address is the only one whose rendezvous name may
 * answer, and its owner the only user: a name can be taken by anybody, the TCP port by its owner alone.
 *
 * @param from Where the connect comes from: of several listeners that share the port, the kernel chooses by it.
 */
export function findTcpListener(
  native: ShmNative,
  destination: SocketAddress,
  from?: SocketAddress,
): TcpListener | WsaCode {
  const { address, port } = destination
  const found =
    from?.family === destination.family
      ? native.findTcpListener(address, port, from.address, from.port)
      : native.findTcpListener(address, port)
  // Without a listener TCP/IP fails, too, with its own error; what cannot be checked is not trusted.
  if (found === -ENOENT) return WSA.WSAEADDRNOTAVAIL
  if (typeof found === 'number') return found === -EMFILE ? WSA.WSAEMFILE : WSA.WSASYSNOTREADY
  // An IPv6 socket at a mapped address is one of IPv4, and so offers its rendezvous.
  const bound = unmapped(found.address) ?? found.address
  const family = bound.includes(':') ? 'IPv6' : 'IPv4'
  return { ...found, address: { family, address: bound, port } }
}

/**
 * True when descriptor `fd` of process `pid` is the TCP socket that listens at `address`. The kernel says so; the process
 * gives nothing away to prove it.
 */
export function holdsListener(native: ShmNative, pid: number, fd: number, address: SocketAddress): boolean {
  const listener = findTcpListener(native, address)
  if (typeof listener === 'number') return false
  try {
    return readlinkSync(`/proc/${String(pid)}/fd/${String(fd)}`) === `socket:[${String(listener.inode)}]`
  } catch {
    // Gone, or in a process namespace that we do not see.
    return false
  }
}

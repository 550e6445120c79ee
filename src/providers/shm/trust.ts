import { WSA } from '../../spi/index.ts'
import type { SocketAddress, WsaCode } from '../../spi/index.ts'
import type { ShmNative } from '../../native/shm.ts'

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
}

/**
 * Asks the kernel which TCP listener serves `destination`. Its bound address is the only one whose rendezvous name may
 * answer, and its owner the only user: a name can be taken by anybody, the TCP port by its owner alone.
 */
export function findTcpListener(native: ShmNative, destination: SocketAddress): TcpListener | WsaCode {
  const found = native.findTcpListener(destination.address, destination.port)
  // Without a listener TCP/IP fails, too, with its own error; what cannot be checked is not trusted.
  if (found === -ENOENT) return WSA.WSAEADDRNOTAVAIL
  if (typeof found === 'number') return found === -EMFILE ? WSA.WSAEMFILE : WSA.WSASYSNOTREADY
  const family = found.address.includes(':') ? 'IPv6' : 'IPv4'
  return { uid: found.uid, address: { family, address: found.address, port: destination.port } }
}

const ENOENT = 2
const EMFILE = 24

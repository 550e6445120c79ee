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

/**
 * Checks that `peer`, who answers at the rendezvous, is the user who owns the TCP listener at `address`: a name can be
 * taken by anybody, the TCP port by its owner only.
 */
export function checkListenerOwner(native: ShmNative, peer: Peer, address: SocketAddress): WsaCode | 0 {
  const owner = native.tcpListenerOwner(address.address, address.port)
  return owner === peer.uid ? 0 : WSA.WSAEINVALIDPROVIDER
}

import { WSA, formatAddress } from '../../spi/index.ts'
import type { ProbeStep, SocketAddress } from '../../spi/index.ts'
import type { ShmNative } from '../../native/shm.ts'
import { connectCode } from './errno.ts'
import { groupName, portName, rendezvousName } from './names.ts'
import { findTcpListener } from './trust.ts'

/** Looks for the peer as a first connect does, and hangs up before a word is said. */
export function probePeer(native: ShmNative, destination: SocketAddress): ProbeStep[] {
  const steps: ProbeStep[] = []
  const note = (what: string, status: ProbeStep['status'], detail: string): ProbeStep[] => {
    steps.push({ what, status, detail })
    return steps
  }
  const listener = findTcpListener(native, destination)
  if (listener === WSA.WSAEADDRNOTAVAIL)
    return note('TCP listener', listener, 'none: the connect would be refused')
  if (typeof listener === 'number')
    return note('TCP listener', listener, 'the kernel does not tell (sock_diag)')
  note('TCP listener', 0, `bound to ${formatAddress(listener.address)} by user ${String(listener.uid)}`)
  let fd = native.connect(rendezvousName(listener.address))
  if (fd < 0) fd = native.connect(groupName(listener.address))
  if (fd < 0) fd = native.connect(portName(listener.address, listener.cookie))
  if (fd < 0) {
    const code = connectCode(fd)
    return note(
      'rendezvous',
      code,
      code === WSA.WSAETIMEDOUT ? 'nobody offers one' : `cannot be entered (errno ${String(-fd)})`,
    )
  }
  const peer = native.peerCredentials(fd)
  native.close(fd)
  note('rendezvous', 0, 'offered')
  if (typeof peer === 'number') return note('peer', WSA.WSAENETDOWN, 'the kernel does not tell who it is')
  const who = `process ${String(peer.pid)} of user ${String(peer.uid)}`
  const mayShare = peer.uid === process.getuid?.()
  steps.push({ what: 'peer', status: mayShare ? 0 : WSA.WSAEACCES, detail: who, processId: peer.pid })
  if (!mayShare) return steps
  const owns = peer.uid === listener.uid
  return note(
    'owner',
    owns ? 0 : WSA.WSAEINVALIDPROVIDER,
    owns ? 'the peer owns the TCP listener' : 'somebody else owns the TCP listener',
  )
}

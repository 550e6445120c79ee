import type { TcpipProvider } from '../../spi/index.ts'
import { tcpBinding } from './binding.ts'
import { TcpSocket } from './socket.ts'

/** The TCP/IP provider for applications that are not programs of `node:net`: Node's native handles, without `net` above. */
export function tcpip(): TcpipProvider {
  const binding = tcpBinding()
  return { socket: (family, owner) => new TcpSocket(binding, family, owner) }
}

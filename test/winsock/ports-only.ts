import { WSA, success } from '../../src/spi/index.ts'
import type { HostSocket, Result, SocketAddress, TcpipOwner, TcpipProvider } from '../../src/spi/index.ts'

/** The one host that there is. */
export const HOST = '127.0.0.1'

/** A TCP/IP that has ports and no network: nothing connects over it, so that whatever connects does so over a SAN. */
export function portsOnly(ports: Iterator<number>): TcpipProvider {
  const nextPort = (): number => ports.next().value as number
  return {
    socket: (family, owner: TcpipOwner): HostSocket => {
      let local: SocketAddress | undefined
      let open = true
      const reserve = (): Result<SocketAddress> =>
        success((local ??= { family, address: HOST, port: nextPort() }))
      return {
        reserve,
        bind: (address) => {
          if (local !== undefined) return WSA.WSAEINVAL
          local = { ...address, port: address.port === 0 ? nextPort() : address.port }
          return 0
        },
        localAddress: () => (local === undefined ? { ok: false, error: WSA.WSAEINVAL } : success(local)),
        listen: () => 0,
        setOption: () => 0,
        connect: () => {
          setImmediate(() => {
            if (open) owner.connected(WSA.WSAECONNREFUSED)
          })
          return 0
        },
        release: () => {
          open = false
        },
        close: () => {
          open = false
        },
      }
    },
  }
}

/** The ports of that host, from which each is given out once. */
export function* numbers(): Generator<number> {
  for (let port = 1001; ; port++) yield port
}

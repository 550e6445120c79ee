import type { TcpipArrival } from '../../spi/index.ts'
import { Request } from '../../switch/incoming.ts'
import type { Condition, Decision } from '../../switch/incoming.ts'

/**
 * A request over TCP/IP, where the kernel has accepted before anybody could be asked: judged all the same, with nothing
 * delivered before the verdict. Rejection is a reset of a connection that the peer believes in (WSK §12 D-11).
 *
 * @param raise Takes what the condition threw.
 * @param onEstablished The connection may be delivered.
 */
export function judgeTcpip(
  arrival: TcpipArrival,
  condition: Condition,
  raise: (error: unknown) => void,
  onEstablished: (request: Request) => void,
): void {
  const { stream, local, remote } = arrival
  const carryOut = (decision: Decision): boolean => {
    if (decision === 'accept') {
      request.established()
      onEstablished(request)
    } else {
      stream.reset()
    }
    return true
  }
  const request = new Request(remote, local, 'tcpip', carryOut)
  const decision = request.judge(condition, raise)
  if (decision !== 'defer') {
    carryOut(decision)
    return
  }
  // A peer that resets, or ends without a word, has given up.
  const look = (): void => {
    if (request.state !== 'deferred') return
    const ended = stream.available === 0 && stream.bytesRead === 0 && stream.readEnd() === 'end'
    if (!stream.aborted && !ended) return
    stream.reset()
    request.lost()
  }
  stream.attach({ readable: look, writable: look })
}

// Sends a message, waits until all of it came back, checks it, sends the next; one round trip at a time.
import { WSK_FLAG_WAITALL, wskBuf } from '../../../src/wsk.ts'
import type { Connection } from '../../../src/wsk.ts'
import { fail } from '../control.ts'
import { RoundTrips, options, runPingPong } from '../round-trips.ts'
import { Repeated, open } from './requests.ts'

function pingPong({ socket }: Connection): RoundTrips {
  const answer = Buffer.alloc(options.size)
  const room = wskBuf(answer)
  let received = 0
  const check = (): void => {
    if (received !== trips.message.length) fail(`${received} bytes came back, not ${trips.message.length}`)
    if (!answer.equals(trips.message)) fail('a wrong byte came back')
  }
  const receive = new Repeated(
    (irp) => socket.dispatch.WskReceive(socket, room, WSK_FLAG_WAITALL, irp),
    (bytes) => {
      received = bytes
      trips.back(check)
    },
  )
  const send = new Repeated(
    (irp) => socket.dispatch.WskSend(socket, wskBuf(trips.message), 0, irp),
    () => undefined,
  )
  const trips = new RoundTrips(() => {
    send.again()
    receive.again()
  })
  return trips
}

runPingPong(async () => pingPong(await open(options)))

// Sends every byte back as Microsoft's WSK echo sample does: two requests under way per connection, each receiving and
// sending in turn.
import { wskBuf } from '../../../src/wsk.ts'
import type { Connection } from '../../../src/wsk.ts'
import { ENDPOINT, readOptions } from '../control.ts'
import { Repeated, listen } from './requests.ts'

const options = readOptions({ ...ENDPOINT, nodelay: 0 })
const OPERATIONS = 2
const BUFFER_BYTES = 64 << 10

/** @param over Called once: the peer has ended, or has vanished, which takes only its own connection with it. */
function echo({ socket }: Connection, over: () => void): void {
  const buffer = Buffer.alloc(BUFFER_BYTES)
  const room = wskBuf(buffer)
  let bytes = 0
  const receive = new Repeated(
    (irp) => socket.dispatch.WskReceive(socket, room, 0, irp),
    (length) => {
      bytes = length
      if (length > 0) send.again()
      else over()
    },
    over,
  )
  const send = new Repeated(
    (irp) => socket.dispatch.WskSend(socket, wskBuf(buffer, 0, bytes), 0, irp),
    () => {
      receive.again()
    },
    over,
  )
  receive.again()
}

await listen(options, (connection) => {
  let left = OPERATIONS
  for (let i = 0; i < OPERATIONS; i += 1) {
    echo(connection, () => {
      left -= 1
      // What waits is sent before; where there is nobody any more, there is no end to send.
      if (left === 0)
        void connection
          .end()
          .catch(() => undefined)
          .then(() => connection.close())
    })
  }
})

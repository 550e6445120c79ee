// Receives a one-way stream to its end, checks every byte, and answers with what it saw.
import { wskBuf } from '../../../src/wsk.ts'
import type { Connection } from '../../../src/wsk.ts'
import { ENDPOINT, readOptions } from '../control.ts'
import { PatternReader } from '../pattern.ts'
import { Repeated, listen } from './requests.ts'

const BUFFER_BYTES = 64 << 10

async function answer(connection: Connection, { bytes, firstWrongByte }: PatternReader): Promise<void> {
  await connection.send(JSON.stringify({ bytes, firstWrongByte }))
  await connection.end()
  await connection.close()
}

await listen(readOptions(ENDPOINT), (connection) => {
  const { socket } = connection
  const reader = new PatternReader()
  const buffer = Buffer.alloc(BUFFER_BYTES)
  const room = wskBuf(buffer)
  const receive = new Repeated(
    (irp) => socket.dispatch.WskReceive(socket, room, 0, irp),
    (length) => {
      if (length === 0) {
        void answer(connection, reader)
        return
      }
      reader.read(buffer.subarray(0, length))
      receive.again()
    },
    () => void connection.close(),
  )
  receive.again()
})

/** An ordinary program that is sent a socket: says what it reads from it, and how that ends. Forked by taking.test.ts. */
import type { Socket } from 'node:net'

process.once('message', (_, socket: Socket) => {
  let heard = ''
  let end = 'close'
  socket.setEncoding('utf8')
  socket
    .on('data', (text: string) => (heard += text))
    .on('end', () => (end = 'end'))
    .on('error', ({ code = 'error' }: NodeJS.ErrnoException) => (end = code))
    .on('close', () => {
      process.send?.({ heard, end })
      process.disconnect()
    })
})
process.send?.('ready')

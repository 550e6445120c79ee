/** A program of Winsock that does as it is told and says what happened; no part of it is `node:net`. */
import { SD_SEND, SockswitchError, winsock } from '../../src/winsock.ts'
import type { WinsockSocket } from '../../src/winsock.ts'
import { Kept, obey } from '../support/orders.ts'
import { LOCAL, valueOf } from './pair.ts'

const ws = winsock()
valueOf(ws.startup())
const sockets = new Kept<WinsockSocket>()
let listener: WinsockSocket | undefined

/** Who carries it, and why TCP/IP does. */
function carrier({ connectionReport }: WinsockSocket): object {
  return { provider: connectionReport?.provider, reason: connectionReport?.reason }
}

obey({
  listen() {
    listener = valueOf(ws.socket())
    listener.bind(LOCAL)
    listener.listen(8)
    return { port: valueOf(listener.getsockname()).port }
  },
  async accept({ key }) {
    if (listener === undefined) throw new Error('Cannot accept: nobody listens')
    const socket = await listener.blocking.accept()
    sockets.set(key, socket)
    return carrier(socket)
  },
  async connect({ key, port }) {
    const socket = valueOf(ws.socket())
    sockets.set(key, socket)
    await socket.blocking.connect({ ...LOCAL, port: port as number })
    return carrier(socket)
  },
  async send({ key, bytes }) {
    await sockets.the(key).blocking.send(Buffer.alloc(bytes as number, 'one of two processes, '))
    return {}
  },
  async receive({ key, bytes }) {
    return { length: await sockets.the(key).blocking.recv(Buffer.alloc(bytes as number)) }
  },
  /** Reads to the end, whichever end it is. */
  async drain({ key }) {
    const buffer = Buffer.alloc(1 << 16)
    let bytes = 0
    try {
      for (let read = -1; read !== 0; bytes += read) read = await sockets.the(key).blocking.recv(buffer)
      return { bytes, end: 'graceful' }
    } catch (error) {
      if (!(error instanceof SockswitchError)) throw error
      return { bytes, end: error.code }
    }
  },
  end({ key }) {
    sockets.the(key).shutdown(SD_SEND)
    return {}
  },
  /** From here on its end is a reset. */
  abrupt({ key }) {
    sockets.the(key).setsockopt('SO_LINGER', 0)
    return {}
  },
  close({ key }) {
    sockets.the(key).closesocket()
    return {}
  },
  exit({ code }) {
    process.exit(code as number)
  },
})

/** A program of Winsock Kernel that does as it is told and says what happened; no part of it is `node:net`. */
import { WskApplication, WskError, sockAddr, statusName, wsk } from '../../src/wsk.ts'
import type { Connection, Listener } from '../../src/wsk.ts'
import { Kept, obey } from '../support/orders.ts'
import type { Orders } from '../support/orders.ts'

const provider = wsk()
const application = new WskApplication(provider)
const connections = new Kept<Connection>()
let listener: Listener | undefined

/** Who carries each connection, the last one last. */
function carriers(): { readonly provider: string; readonly reason?: string }[] {
  return provider.connections().map(({ provider, reason }) => ({ provider, ...(reason && { reason }) }))
}

const orders: Orders = {
  async listen() {
    listener = await application.listen()
    return { port: listener.address.port }
  },
  async accept({ key }) {
    if (listener === undefined) throw new Error('Cannot accept: nobody listens')
    connections.set(key, await listener.next())
    return carriers().at(-1) ?? {}
  },
  async connect({ key, port }) {
    connections.set(key, await application.connect(sockAddr('127.0.0.1', port as number)))
    return carriers().at(-1) ?? {}
  },
  async send({ key, bytes }) {
    await connections.the(key).send(Buffer.alloc(bytes as number, 'one of two processes, '))
    return {}
  },
  async receive({ key, bytes }) {
    const wanted = Buffer.alloc(bytes as number, 'one of two processes, ')
    const got = Buffer.alloc(wanted.length)
    const length = await connections.the(key).receive(got)
    return { length, same: got.equals(wanted) }
  },
  /** Sends back whatever comes, to the end; then ends, and closes. */
  async echo({ key }) {
    let bytes = 0
    for await (const piece of connections.the(key)) {
      bytes += piece.length
      await connections.the(key).send(piece)
    }
    await connections.the(key).end()
    await connections.the(key).close()
    return { bytes }
  },
  /** Reads to the end, whichever end it is. */
  async drain({ key }) {
    let bytes = 0
    try {
      for await (const piece of connections.the(key)) bytes += piece.length
      return { bytes, end: 'graceful' }
    } catch (error) {
      if (!(error instanceof WskError)) throw error
      return { bytes, end: statusName(error.status) }
    }
  },
  async end({ key }) {
    await connections.the(key).end()
    return {}
  },
  async close({ key }) {
    await connections.the(key).close()
    return {}
  },
  async stop() {
    await listener?.close()
    await application[Symbol.asyncDispose]()
    return {}
  },
  exit({ code }) {
    process.exit(code as number)
  },
}

obey(orders)

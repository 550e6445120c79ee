/** Where a hostile peer waits for its victims. */
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import { Door, lonelyEventfd, native } from './channel.ts'
import { HOST, doorName } from './hostile-peer.ts'

/** A TCP listener of this process and the door beside it: what an honest, switched server would have. */
export class HostileServer {
  readonly #server: net.Server
  readonly door: Door
  readonly port: number
  /** Connections that came over TCP/IP; they are echoed. */
  overTcp = 0
  #doorbell: number

  private constructor(server: net.Server, doorbell: number, nameOf: (port: number) => string) {
    this.#server = server
    this.#doorbell = doorbell
    this.port = (server.address() as AddressInfo).port
    this.door = new Door(nameOf(this.port))
    server.on('connection', (socket) => {
      this.overTcp += 1
      socket.on('error', () => undefined)
      socket.pipe(socket)
    })
  }

  static async listen(nameOf: (port: number) => string = doorName): Promise<HostileServer> {
    const server = net.createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
    return new HostileServer(server, await lonelyEventfd(), nameOf)
  }

  /** Makes a doorbell for one more peer. */
  async prepare(): Promise<void> {
    this.#doorbell = await lonelyEventfd()
  }

  get descriptor(): number {
    return (this.#server as net.Server & { readonly _handle: { readonly fd: number } })._handle.fd
  }

  /** A doorbell made beforehand, for one peer. */
  takeDoorbell(): number {
    const doorbell = this.#doorbell
    if (doorbell < 0) throw new Error('Cannot take the doorbell: it is taken')
    this.#doorbell = -1
    return doorbell
  }

  close(): void {
    this.door.close()
    this.#server.close()
    if (this.#doorbell >= 0) native.close(this.#doorbell)
  }
}

import { createConnection, isIP } from 'node:net'
import type { Socket } from 'node:net'

import { MAX_CONNECT_DATA_BYTES, WSA, success } from 'sockswitch/spi'
import type { ConnectionRequest, Result, SocketAddress, WsaCode } from 'sockswitch/spi'
import type { Attempt, Connection, ConnectionOwner, IncomingRequest, Listener } from 'sockswitch/san'
import { Channel } from './channel.ts'
import type { Frame, Hearer } from './channel.ts'
import { UnixConnection } from './connection.ts'

const NOBODY: SocketAddress = { family: 'IPv4', address: '0.0.0.0', port: 0 }

/** A connect: knocks at the very address, then at the wildcard, and waits for an answer. */
export class UnixAttempt implements Attempt, Hearer {
  readonly #owner: ConnectionOwner
  readonly #request: ConnectionRequest
  #socket: Socket | undefined
  #channel: Channel | undefined

  /** @param doors The sockets where somebody may listen, the best first. */
  constructor(owner: ConnectionOwner, request: ConnectionRequest, doors: readonly string[]) {
    this.#owner = owner
    this.#request = request
    this.#knock(doors)
  }

  #knock([door, ...others]: readonly string[]): void {
    if (door === undefined) {
      // Nobody switched is there, which says nothing about TCP/IP (CONNECT-2).
      this.#owner.refused(WSA.WSAETIMEDOUT)
      return
    }
    const next = (): void => {
      this.#knock(others)
    }
    const socket = createConnection(door)
    this.#socket = socket
    socket.once('error', next)
    socket.once('connect', () => {
      socket.off('error', next)
      const head = Buffer.from(textOf(this.#request))
      this.#channel = new Channel(socket, () => this)
      this.#channel.send('request', head.length, 0, Buffer.concat([head, this.#request.callerData]))
    })
  }

  hear({ kind, one, data }: Frame): boolean {
    const channel = this.#channel
    if (channel === undefined) return false
    switch (kind) {
      case 'accept':
        if (data.length > MAX_CONNECT_DATA_BYTES) return false
        this.#owner.accepted(new UnixConnection(channel, this.#owner), Uint8Array.from(data))
        return true
      case 'pend':
        this.#owner.judging()
        return true
      case 'refuse':
        channel.close()
        this.#owner.refused(codeOf(one))
        return true
      default:
        return false
    }
  }

  lost(): void {
    this.#owner.refused(WSA.WSAETIMEDOUT)
  }

  close(): void {
    this.#channel?.close()
    this.#socket?.destroy()
  }
}

/** Somebody at the door of a listener; the first frame says what for. */
export class UnixRequest implements IncomingRequest, Hearer {
  remote = NOBODY
  local = NOBODY
  callerData: Uint8Array = new Uint8Array()
  readonly #channel: Channel
  readonly #listener: Listener
  #state: 'silent' | 'asking' | 'gone' = 'silent'
  #withdrawn: (() => void) | undefined

  constructor(channel: Channel, listener: Listener) {
    this.#channel = channel
    this.#listener = listener
  }

  hear({ kind, one: headBytes, data }: Frame): boolean {
    if (this.#state !== 'silent' || kind !== 'request') return false
    const [remote, local] = addressesIn(Buffer.from(data.subarray(0, headBytes)).toString())
    if (remote === undefined || local === undefined) return false
    this.remote = remote
    this.local = local
    this.callerData = Uint8Array.from(data.subarray(headBytes))
    this.#state = 'asking'
    if (!this.#listener.offer(this)) this.refuse(WSA.WSAECONNREFUSED)
    return true
  }

  lost(): void {
    this.#state = 'gone'
    this.#withdrawn?.()
  }

  isOpen(): boolean {
    return this.#state === 'asking'
  }

  accept(owner: ConnectionOwner, calleeData: Uint8Array): Result<Connection> {
    this.#channel.send('accept', 0, 0, calleeData)
    return success(new UnixConnection(this.#channel, owner))
  }

  refuse(code: WsaCode): void {
    this.#channel.send('refuse', code)
    this.#channel.close()
  }

  pend(withdrawn: () => void): boolean {
    this.#withdrawn = withdrawn
    this.#channel.send('pend')
    return true
  }

  unpend(): void {
    this.#withdrawn = undefined
  }
}

/** Both addresses, as {@link addressesIn} reads them. */
function textOf({ remote, local }: ConnectionRequest): string {
  return [remote, local].map(({ address, port }) => `${address} ${port}`).join()
}

/** The peer's words: undefined for what is no address. */
function addressesIn(text: string): (SocketAddress | undefined)[] {
  return text.split(',').map((each) => {
    const [address = '', port] = each.split(' ')
    const version = isIP(address)
    return version === 0
      ? undefined
      : { family: version === 4 ? 'IPv4' : 'IPv6', address, port: Number(port) }
  })
}

/** The peer's word: what is no code is no answer. */
function codeOf(value: number): WsaCode {
  return Object.values(WSA).find((code) => code === value) ?? WSA.WSAENETDOWN
}

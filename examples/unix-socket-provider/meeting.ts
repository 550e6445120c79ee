import { createConnection, isIP } from 'node:net'

import { MAX_CONNECT_DATA_BYTES, WSA, success } from 'sockswitch/spi'
import type { ConnectionRequest, Result, SocketAddress, WsaCode } from 'sockswitch/spi'
import type { Attempt, Connection, ConnectionOwner, IncomingRequest, Listener } from 'sockswitch/san'
import { Channel } from './channel.ts'
import type { Frame, Hearer } from './channel.ts'
import { UnixConnection } from './connection.ts'

/** A connect: knocks at one door after the other, and waits for an answer. */
export class UnixAttempt implements Attempt, Hearer {
  readonly #owner: ConnectionOwner
  readonly #request: ConnectionRequest
  readonly #doors: string[]
  #channel: Channel | undefined

  /** @param doors The sockets where somebody may listen, the best first. */
  constructor(owner: ConnectionOwner, request: ConnectionRequest, doors: string[]) {
    this.#owner = owner
    this.#request = request
    this.#doors = doors
    this.lost()
  }

  hear({ kind, number, data }: Frame): boolean {
    if (this.#channel === undefined || data.length > MAX_CONNECT_DATA_BYTES) return false
    if (kind === 'accept') {
      this.#owner.accepted(new UnixConnection(this.#channel, this.#owner), Uint8Array.from(data))
    } else if (kind === 'pend') {
      this.#owner.judging()
    } else if (kind === 'refuse') {
      this.#channel.close()
      // The peer's word: what is no code is no answer.
      this.#owner.refused(Object.values(WSA).find((code) => code === number) ?? WSA.WSAENETDOWN)
    } else return false
    return true
  }

  /** Nobody is at this door: on to the next. */
  lost(): void {
    const door = this.#doors.shift()
    if (door === undefined) {
      // Nobody switched is there, which says nothing about TCP/IP (CONNECT-2).
      this.#owner.refused(WSA.WSAETIMEDOUT)
      return
    }
    const { remote, local, callerData } = this.#request
    const head = Buffer.from(JSON.stringify([remote, local]))
    this.#channel = new Channel(createConnection(door), this)
    this.#channel.send('request', head.length, Buffer.concat([head, callerData]))
  }

  close(): void {
    this.#channel?.close()
  }
}

const NOBODY: SocketAddress = { family: 'IPv4', address: '0.0.0.0', port: 0 }

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
    channel.hearer = this
  }

  hear({ kind, number: headBytes, data }: Frame): boolean {
    if (this.#state !== 'silent' || kind !== 'request') return false
    const addresses = addressesIn(data.subarray(0, headBytes))
    if (addresses === undefined || data.length - headBytes > MAX_CONNECT_DATA_BYTES) return false
    ;[this.remote, this.local] = addresses
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
    this.#channel.send('accept', 0, calleeData)
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

/** The peer's words: undefined unless they are two addresses. */
function addressesIn(text: Uint8Array): [SocketAddress, SocketAddress] | undefined {
  try {
    const both = JSON.parse(Buffer.from(text).toString()) as unknown[]
    const [remote, local] = both.map((each) => {
      const { family, address, port } = each as SocketAddress
      const isSense = isIP(address) === (family === 'IPv4' ? 4 : 6) && port === (port & 0xffff)
      return isSense ? { family, address, port } : undefined
    })
    return remote && local ? [remote, local] : undefined
  } catch {
    return undefined
  }
}

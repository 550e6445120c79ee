import assert from 'node:assert/strict'

import type { SocketAddress, TcpipOwner } from '../../src/spi/index.ts'
import type { Session } from '../../src/switch/session/session.ts'
import type { ConnectOutcome } from '../../src/switch/socket.ts'
import type { Arrival } from '../../src/switch/listen.ts'
import { LOCAL, valueOf } from '../winsock/pair.ts'
import { Audit } from './audit.ts'
import type { Ledger } from './audit.ts'
import type { Computer } from './computer.ts'
import type { Party } from './party.ts'

const NOBODY: TcpipOwner = {
  connected: () => undefined,
  arrived: ({ stream }) => {
    stream.reset()
  },
}

/** A session and somebody who waits for what it tells: for what no face shows. */
export class Wire {
  readonly session: Session
  /** Where an audit writes what it sends and receives. */
  readonly ledger: Ledger | undefined
  #waiting: (() => void)[] = []

  constructor(session: Session, ledger?: Ledger) {
    this.session = session
    this.ledger = ledger
    session.attach({ readable: this.#wake, writable: this.#wake })
  }

  readonly #wake = (): void => {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** What `look` answers once that is something; it is asked whenever the session tells. */
  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      await this.#told()
    }
  }

  async #told(): Promise<void> {
    const here = {}
    this.ledger?.waiting.set(here, 'wire')
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
    })
    this.ledger?.waiting.delete(here)
  }

  async write(bytes: Uint8Array): Promise<void> {
    let done = 0
    while (done < bytes.length) {
      const taken = this.session.write([bytes], 0, done)
      if (taken < 0) throw new Error(`a write answers ${-taken}`)
      this.ledger?.offer(Buffer.from(bytes.subarray(done, done + taken)))
      this.ledger?.acknowledge(taken)
      done += taken
      if (done < bytes.length) await this.#told()
    }
  }

  /** Sends without a copy; the status with which that ended, or why it could not be. */
  async sendLarge(bytes: Uint8Array): Promise<number> {
    return await new Promise((resolve) => {
      const status = this.session.sendLarge(bytes, (ended) => {
        if (ended === 0) this.ledger?.acknowledge(bytes.length)
        resolve(ended)
      })
      if (status === 0) this.ledger?.offer(Buffer.from(bytes))
      else resolve(status)
    })
  }

  /** The next `length` bytes, or fewer where the stream ends before. */
  async read(length: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for (let left = length; left > 0;) {
      const piece = await this.until(() => {
        const read = this.session.read(left)
        if (read !== undefined) return read
        const end = this.session.readEnd()
        if (end === 'end') this.ledger?.end()
        return end === 'more' ? undefined : null
      })
      if (piece === null) break
      this.ledger?.receive(piece)
      pieces.push(piece)
      left -= piece.length
    }
    return Buffer.concat(pieces)
  }

  /** How the stream ends, once it does. */
  async end(): Promise<'end' | 'reset'> {
    return await this.until(() => {
      assert.equal(this.session.available, 0, 'bytes after the last one')
      const end = this.session.readEnd()
      if (end === 'end') this.ledger?.end()
      return end === 'more' ? undefined : end
    })
  }
}

/** Listens through the switch itself; the other party is told where. */
export function listenBare({ line }: Party, computer: Computer): { readonly next: () => Promise<Wire> } {
  const tcp = computer.tcpip.socket('IPv4', NOBODY)
  assert.equal(tcp.bind(LOCAL), 0)
  const arrived: Wire[] = []
  const waiting: ((wire: Wire) => void)[] = []
  const onArrival = ({ session, local, remote }: Arrival): void => {
    const wire = new Wire(session, Audit.current?.open(local, remote))
    const hearer = waiting.shift()
    if (hearer === undefined) arrived.push(wire)
    else hearer(wire)
  }
  const socket = computer.switch.socket(tcp)
  assert.equal(socket.listen(16, onArrival), 0)
  line.tell(valueOf(tcp.localAddress()))
  return {
    next: async () => arrived.shift() ?? (await new Promise((resolve) => waiting.push(resolve))),
  }
}

/** Connects through the switch itself, over the carrier. */
export async function connectBare(computer: Computer, address: SocketAddress): Promise<Wire> {
  const socket = computer.switch.socket(computer.tcpip.socket('IPv4', NOBODY))
  const outcome = await new Promise<ConnectOutcome>((resolve) => {
    socket.connect(address, resolve)
  })
  assert.equal(outcome.kind, 'san')
  return new Wire(outcome.session)
}

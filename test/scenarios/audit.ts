import type { Overlapped, SocketAddress, Status } from '../../src/spi/index.ts'
import { WSA } from '../../src/spi/index.ts'
import { MSG_OOB, MSG_PEEK, WinsockSocket } from '../../src/faces/winsock/index.ts'
import type { Buffers } from '../../src/faces/winsock/index.ts'

/** What went one way and the other over one end of a connection. */
export interface Account {
  readonly local: string
  readonly remote: string
  /** Everything that was to be sent, in order. */
  readonly offered: Buffer
  /** Bytes of it that the end was told are sent. */
  readonly acknowledged: number
  readonly received: Buffer
  /** The end of the stream was read: nothing is missing. */
  readonly ended: boolean
}

/** What a party says of its play, when all its computers have ended. */
export interface Report {
  readonly accounts: readonly Account[]
  /** Operations that ended twice, or never. */
  readonly complaints: readonly string[]
}

interface Operation {
  readonly what: string
  readonly overlapped: Overlapped
  times: number
}

/** One end of a connection. */
export class Ledger {
  readonly #names: () => readonly [local: SocketAddress, remote: SocketAddress] | undefined
  readonly #offered: Buffer[] = []
  readonly #received: Buffer[] = []
  #named: readonly [SocketAddress, SocketAddress] | undefined
  #acknowledged = 0
  #ended = false
  /** What waits for the peer, by what it is. */
  readonly waiting = new Map<object, string>()
  /** Bytes went past the audit: the stream cannot be compared. */
  isPartial = false

  constructor(names: () => readonly [SocketAddress, SocketAddress] | undefined) {
    this.#names = names
  }

  /** While it is connected: afterwards nobody knows its names. */
  name(): void {
    this.#named ??= this.#names()
  }

  offer(bytes: Buffer): void {
    this.#offered.push(bytes)
  }

  acknowledge(bytes: number): void {
    this.#acknowledged += bytes
  }

  receive(bytes: Buffer): void {
    this.#received.push(bytes)
  }

  end(): void {
    this.#ended = true
  }

  get account(): Account | undefined {
    if (this.#named === undefined || this.isPartial) return undefined
    const [local, remote] = this.#named.map(({ address, port }) => `${address}:${port}`) as [string, string]
    return {
      local,
      remote,
      offered: Buffer.concat(this.#offered),
      acknowledged: this.#acknowledged,
      received: Buffer.concat(this.#received),
      ended: this.#ended,
    }
  }
}

/** Looks at everything the applications of this process do, below the scripts and above the sockets. */
export class Audit {
  static #current: Audit | undefined
  readonly #ledgers = new Map<WinsockSocket, Ledger>()
  readonly #others: Ledger[] = []
  readonly #operations: Operation[] = []

  /** The audit of the play that goes on here. */
  static get current(): Audit | undefined {
    return Audit.#current
  }

  constructor() {
    install()
    Audit.#current = this
  }

  ledgerOf(socket: WinsockSocket): Ledger {
    const known = this.#ledgers.get(socket)
    if (known !== undefined) return known
    const made = new Ledger(() => {
      const [local, remote] = [socket.getsockname(), socket.getpeername()]
      return local.ok && remote.ok ? [local.value, remote.value] : undefined
    })
    this.#ledgers.set(socket, made)
    return made
  }

  /** For a connection that is no socket of Winsock's. */
  open(local: SocketAddress, remote: SocketAddress): Ledger {
    const made = new Ledger(() => [local, remote])
    made.name()
    this.#others.push(made)
    return made
  }

  /** From now on how often it ends is counted. `ended` is told, too. */
  watch(what: string, overlapped: Overlapped, ended: (status: Status, bytes: number) => void): void {
    const operation: Operation = { what, overlapped, times: 0 }
    this.#operations.push(operation)
    const { completed } = overlapped
    Object.defineProperty(overlapped, 'completed', {
      value: (status: Status, bytes: number) => {
        operation.times += 1
        if (operation.times === 1) ended(status, bytes)
        completed?.(status, bytes)
      },
    })
  }

  /** The call answered at once that it failed: nothing will end. */
  forget(overlapped: Overlapped): void {
    const at = this.#operations.findLastIndex((each) => each.overlapped === overlapped)
    if (at >= 0 && this.#operations[at]?.times === 0) this.#operations.splice(at, 1)
  }

  /** What waits for the peer of a connection, which must not be for ever. */
  get waiting(): readonly string[] {
    return [...this.#ledgers.values(), ...this.#others].flatMap(({ waiting }) => [...waiting.values()])
  }

  /** Every operation has ended. */
  get isSettled(): boolean {
    return this.#operations.every(
      ({ overlapped, times }) => !overlapped.pending && (overlapped.silent || times > 0),
    )
  }

  /** @returns what was done; the audit is over. */
  close(): Report {
    if (Audit.#current === this) Audit.#current = undefined
    const complaints = this.#operations.flatMap(({ what, overlapped, times }) => {
      if (overlapped.pending) return [`a ${what} never ended`]
      return overlapped.silent || times === 1 ? [] : [`a ${what} ended ${times} times`]
    })
    const accounts = [...this.#ledgers.values(), ...this.#others].flatMap((each) => each.account ?? [])
    return { accounts, complaints }
  }
}

/** What is wrong with what two parties report of the connections between them. */
export function compare(server: Report, client: Report): string[] {
  const wrong = [...server.complaints, ...client.complaints]
  const pairs = [
    [server, client],
    [client, server],
  ] as const
  for (const [from, to] of pairs) {
    for (const sender of from.accounts) {
      const receiver = to.accounts.find(
        ({ local, remote }) => local === sender.remote && remote === sender.local,
      )
      if (receiver === undefined) continue
      const { received, ended } = receiver
      const way = `${sender.local} -> ${sender.remote}`
      if (!sender.offered.subarray(0, received.length).equals(received)) {
        wrong.push(
          `${way}: ${received.length} bytes arrived, and are not those of ${sender.offered.length} sent`,
        )
      }
      if (ended && received.length < sender.acknowledged) {
        wrong.push(
          `${way}: ${sender.acknowledged} bytes were acknowledged, ${received.length} arrived before the end`,
        )
      }
    }
  }
  return wrong
}

let isInstalled = false

// The calls of every socket of Winsock's tell the audit, where there is one.
function install(): void {
  if (isInstalled) return
  isInstalled = true
  // Each is called with the socket it was called on.
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { send, recv, acceptEx, connectEx, closesocket } = WinsockSocket.prototype
  WinsockSocket.prototype.send = function (buffers, flags, overlapped) {
    const audit = Audit.current
    if (audit === undefined) return send.call(this, buffers, flags, overlapped)
    const ledger = audit.ledgerOf(this)
    ledger.name()
    if (((flags ?? 0) & MSG_OOB) !== 0) ledger.isPartial = true
    const bytes = bytesOf(buffers)
    if (overlapped !== undefined) {
      audit.watch('send', overlapped, (status, taken) => {
        ledger.waiting.delete(overlapped)
        if (status === 0) ledger.acknowledge(taken)
      })
    }
    const result = send.call(this, buffers, flags, overlapped)
    if (result.ok) {
      ledger.offer(bytes.subarray(0, result.value))
      ledger.acknowledge(result.value)
    } else if (result.error === WSA.WSA_IO_PENDING) {
      ledger.offer(bytes)
      if (overlapped?.pending === true) ledger.waiting.set(overlapped, 'send')
    } else if (overlapped !== undefined) {
      audit.forget(overlapped)
    }
    return result
  }
  WinsockSocket.prototype.recv = function (buffers, flags, overlapped) {
    const audit = Audit.current
    if (audit === undefined || ((flags ?? 0) & (MSG_OOB | MSG_PEEK)) !== 0) {
      if (audit !== undefined) audit.ledgerOf(this).isPartial = true
      return recv.call(this, buffers, flags, overlapped)
    }
    const ledger = audit.ledgerOf(this)
    ledger.name()
    const take = (length: number): void => {
      const bytes = bytesOf(buffers)
      if (length > 0) ledger.receive(Buffer.from(bytes.subarray(0, length)))
      else if (bytes.length > 0) ledger.end()
    }
    // Nobody tells the audit of it.
    if (overlapped?.silent === true) ledger.isPartial = true
    if (overlapped !== undefined) {
      audit.watch('receive', overlapped, (status, length) => {
        ledger.waiting.delete(overlapped)
        if (status === 0) take(length)
      })
    }
    const result = recv.call(this, buffers, flags, overlapped)
    if (result.ok) take(result.value)
    else if (overlapped?.pending === true) ledger.waiting.set(overlapped, 'receive')
    else if (overlapped !== undefined && result.error !== WSA.WSA_IO_PENDING) audit.forget(overlapped)
    return result
  }
  WinsockSocket.prototype.acceptEx = function (socket, buffer, overlapped, condition) {
    const audit = Audit.current
    audit?.watch('accept', overlapped, (status, length) => {
      const ledger = audit.ledgerOf(socket)
      ledger.name()
      if (status === 0 && buffer !== undefined)
        ledger.receive(Buffer.from(bytesOf(buffer).subarray(0, length)))
    })
    const status = acceptEx.call(this, socket, buffer, overlapped, condition)
    if (status !== WSA.WSA_IO_PENDING) audit?.forget(overlapped)
    return status
  }
  WinsockSocket.prototype.connectEx = function (address, data, overlapped) {
    const audit = Audit.current
    if (audit !== undefined) {
      const ledger = audit.ledgerOf(this)
      if (data !== undefined) ledger.isPartial = true
      audit.watch('connect', overlapped, () => {
        ledger.waiting.delete(overlapped)
        ledger.name()
      })
      ledger.waiting.set(overlapped, 'connect')
    }
    const status = connectEx.call(this, address, data, overlapped)
    if (status !== WSA.WSA_IO_PENDING) {
      audit?.ledgerOf(this).waiting.delete(overlapped)
      audit?.forget(overlapped)
    }
    return status
  }
  WinsockSocket.prototype.closesocket = function () {
    Audit.current?.ledgerOf(this).name()
    return closesocket.call(this)
  }
}

function bytesOf(buffers: Buffers): Buffer {
  return buffers instanceof Uint8Array
    ? Buffer.from(buffers.buffer, buffers.byteOffset, buffers.length)
    : Buffer.concat(buffers)
}

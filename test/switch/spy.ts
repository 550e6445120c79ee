import { success } from '../../src/spi/index.ts'
import type { Result, SanProvider, SocketAddress, Status, TcpipSocket } from '../../src/spi/index.ts'
import { intercept } from '../../src/providers/wrap/intercept.ts'
import type { Call, Interceptor } from '../../src/providers/wrap/intercept.ts'

/** One call, of the switch or of a provider. */
export interface Entry {
  /** `tcp`, or the name of the SAN provider. */
  readonly who: string
  /** `up`: the provider calls the switch. */
  readonly direction: 'down' | 'up'
  readonly name: string
  /** Which socket of the provider, in the order of their making; 0 for a call on the provider. */
  readonly socket: number
  readonly args: readonly unknown[]
  /** `san.bind`, or `san^closeSocketHandle` for an upcall. */
  readonly label: string
  /** Whether the call has returned, and what. */
  returned: boolean
  result: unknown
}

/** Every call across TCP/IP and the SAN providers, in the order in which they began. */
export class Journal {
  readonly entries: Entry[] = []
  readonly #after: { readonly label: string; readonly act: () => void }[] = []

  /** Runs `act` once, when the next call `label` has returned. */
  after(label: string, act: () => void): void {
    this.#after.push({ label, act })
  }

  record<T>(entry: Omit<Entry, 'label' | 'returned' | 'result'>, proceed: () => T): T {
    const label = `${entry.who}${entry.direction === 'up' ? '^' : '.'}${entry.name}`
    const kept: Entry = { ...entry, label, returned: false, result: undefined }
    this.entries.push(kept)
    const result = proceed()
    kept.returned = true
    kept.result = result
    const at = this.#after.findIndex((hook) => hook.label === label)
    if (at >= 0) for (const { act } of this.#after.splice(at, 1)) act()
    return result
  }

  /** The labels, without the calls named in `except`. */
  labels(except: readonly string[] = []): string[] {
    return this.entries.map(({ label }) => label).filter((label) => !except.includes(label))
  }

  all(label: string): Entry[] {
    return this.entries.filter((entry) => entry.label === label)
  }

  count(label: string): number {
    return this.all(label).length
  }

  /** The only call `label`. */
  one(label: string): Entry {
    const [entry, ...others] = this.all(label)
    if (entry === undefined || others.length > 0) {
      throw new Error(`${label} was called ${this.count(label)} times: ${this.labels().join(', ')}`)
    }
    return entry
  }

  /** Where the first call `label` is in the order of things. */
  at(label: string): number {
    const at = this.entries.findIndex((entry) => entry.label === label)
    if (at < 0) throw new Error(`${label} was not called: ${this.labels().join(', ')}`)
    return at
  }

  clear(): void {
    this.entries.length = 0
  }
}

/** `provider` under the name `who`, with every call down and up in `journal`. */
export function spy(provider: SanProvider, who: string, journal: Journal): SanProvider {
  const record = <T>({ direction, name, socket, args }: Call, proceed: () => T): T =>
    journal.record({ who, direction, name, socket, args }, proceed)
  const interceptor: Interceptor = { status: record, result: record, value: record, notify: record }
  return { ...intercept(provider, interceptor), name: who }
}

/** What a spied TCP/IP socket answers where it is not to succeed. */
export interface TcpAnswers {
  readonly listen?: Status
  readonly connect?: Status
  readonly reserve?: Result<SocketAddress>
  readonly localAddress?: Result<SocketAddress>
}

/** The TCP/IP socket that an application holds: answers as told, and is recorded. */
export class SpyTcpip implements TcpipSocket {
  readonly #journal: Journal
  readonly #local: SocketAddress
  readonly #answers: TcpAnswers

  /** @param local What it is bound to, or gets when it has to choose. */
  constructor(journal: Journal, local: SocketAddress, answers: TcpAnswers = {}) {
    this.#journal = journal
    this.#local = local
    this.#answers = answers
  }

  reserve(destination: SocketAddress): Result<SocketAddress> {
    return this.#record('reserve', [destination], () => this.#answers.reserve ?? success(this.#local))
  }

  localAddress(): Result<SocketAddress> {
    return this.#record('localAddress', [], () => this.#answers.localAddress ?? success(this.#local))
  }

  listen(backlog: number): Status {
    return this.#record('listen', [backlog], () => this.#answers.listen ?? 0)
  }

  connect(destination: SocketAddress): Status {
    return this.#record('connect', [destination], () => this.#answers.connect ?? 0)
  }

  release(): void {
    this.#record('release', [], () => undefined)
  }

  #record<T>(name: string, args: readonly unknown[], proceed: () => T): T {
    return this.#journal.record({ who: 'tcp', direction: 'down', name, socket: 0, args }, proceed)
  }
}

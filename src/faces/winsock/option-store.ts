import { WSA, failure, success } from '../../spi/index.ts'
import type { Result, SocketOption, Status } from '../../spi/index.ts'
import { OPTIONS } from './options.ts'
import type { OptionName, OptionRow } from './options.ts'

/** What an option needs of its socket. */
export interface OptionHost {
  /** What the switch knows without its having been set; undefined for what it only keeps. */
  known(option: OptionName): number | undefined
  /** The value is about to be kept: what goes with it is done here. Anything but 0 refuses it. */
  apply(option: OptionName, value: number): Status
}

/** The options of one socket: what was set, and what the table says of the rest. */
export class OptionStore {
  readonly #host: OptionHost
  readonly #values = new Map<OptionName, number>()

  constructor(host: OptionHost) {
    this.#host = host
  }

  get(option: OptionName): Result<number> {
    const row = rowOf(option)
    if (row === undefined) return failure(WSA.WSAENOPROTOOPT)
    if (!row.get) return failure(row.error)
    if (option === 'SO_DONTLINGER') return success(this.value('SO_LINGER') < 0 ? 1 : 0)
    return success(this.#host.known(option) ?? this.value(option))
  }

  /** As {@link get}, for an option that is kept. */
  value(option: OptionName): number {
    const row: OptionRow = OPTIONS[option]
    return this.#values.get(option) ?? row.value ?? 0
  }

  set(option: OptionName, value: number): Status {
    const row = rowOf(option)
    if (row === undefined) return WSA.WSAENOPROTOOPT
    if (!row.set) return row.error
    if (!Number.isInteger(value)) return WSA.WSAEINVAL
    if (row.handler === 'fixed') return value === row.value ? 0 : row.error
    if (option === 'SO_DONTLINGER') return this.set('SO_LINGER', value !== 0 ? -1 : 0)
    const status = this.#host.apply(option, value)
    if (status === 0) this.#values.set(option, value)
    return status
  }

  /** What goes to another socket that is to have the same (WSD-ACCEPT-17). */
  inherit(from: OptionStore): void {
    for (const [option, value] of from.#values)
      if (option !== 'SO_CONDITIONAL_ACCEPT') this.#values.set(option, value)
  }

  /** What was set of the options that `handler` answers for. */
  *setBy(handler: 'companion' | 'tcpip'): Generator<readonly [SocketOption, number]> {
    for (const [option, value] of this.#values) {
      if (OPTIONS[option].handler === handler) yield [option as SocketOption, value]
    }
  }
}

function rowOf(option: string): OptionRow | undefined {
  return option in OPTIONS ? OPTIONS[option as OptionName] : undefined
}

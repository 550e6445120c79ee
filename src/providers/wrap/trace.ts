import { Overlapped, wsaName } from '../../spi/index.ts'
import type { Result, SanProvider, Status } from '../../spi/index.ts'
import { InterceptedSocket, intercept } from './intercept.ts'
import type { Call, DownCall, Interceptor, UpCall } from './intercept.ts'

/** One call that has returned, as data without references: safe to keep, compare and print as JSON. */
export interface TraceRecord {
  readonly direction: 'down' | 'up'
  readonly name: DownCall | UpCall
  /** Which socket, in the order of their making; 0 for a call on the provider. */
  readonly socket: number
  /** How many calls it was made from inside of: an upcall in a down-call has 1. */
  readonly depth: number
  readonly args: readonly unknown[]
  /** The name of a result code, `success`, or what was returned. */
  readonly result: unknown
}

/**
 * A provider like `provider` that tells `sink` of each call, down and up, when it returns; a call that throws leaves no
 * record.
 */
export function trace(provider: SanProvider, sink: (record: TraceRecord) => void): SanProvider {
  return intercept(provider, new Tracer(sink))
}

class Tracer implements Interceptor {
  readonly #sink: (record: TraceRecord) => void
  #depth = 0

  constructor(sink: (record: TraceRecord) => void) {
    this.#sink = sink
  }

  status(call: Call, proceed: () => Status): Status {
    return this.#record(call, proceed, statusName)
  }

  result<T>(call: Call, proceed: () => Result<T>): Result<T> {
    return this.#record(call, proceed, (result) => {
      if (!result.ok) return statusName(result.error)
      // What upcalls return belongs to the switch or the provider; nobody else looks into it.
      return call.direction === 'up' ? 'success' : plain(result.value)
    })
  }

  value<T>(call: Call, proceed: () => T): T {
    return this.#record(call, proceed, plain)
  }

  notify(call: Call, proceed: () => void): void {
    this.#record(call, proceed, () => 'success')
  }

  #record<T>(
    { direction, name, socket, args: given }: Call,
    proceed: () => T,
    describe: (value: T) => unknown,
  ): T {
    const depth = this.#depth
    const args = given.map(plain)
    this.#depth += 1
    try {
      const value = proceed()
      this.#sink({ direction, name, socket, depth, args, result: describe(value) })
      return value
    } finally {
      this.#depth = depth
    }
  }
}

function statusName(status: Status): string {
  return status === 0 ? 'success' : wsaName(status)
}

/** `value` as plain data: memory by its size, an object with a class by its class. */
function plain(value: unknown): unknown {
  if (typeof value === 'function') return 'function'
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value)) return { byteLength: value.byteLength }
  if (value instanceof InterceptedSocket) return { socket: value.number }
  if (value instanceof Overlapped) return { silent: value.silent, status: statusName(value.status) }
  if ('set' in value && 'isSet' in value) return 'event'
  if (Array.isArray(value)) return value.map(plain)
  if (Object.getPrototypeOf(value) !== Object.prototype) return value.constructor.name
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
}

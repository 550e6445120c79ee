import { networkInterfaces } from 'node:os'
import { WSA, failure, success } from '../../spi/index.ts'
import type { AddressFamily, Result, Status } from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import type { Connection } from './connection.ts'
import type { Lower } from './lower-socket.ts'
import type { OptionHost } from './option-store.ts'
import { EXTENSIONS, IOCTLS } from './options.ts'
import type { ExtensionName, IoctlName, IoctlRow, OptionName } from './options.ts'
import type { WinsockState } from './socket-state.ts'
import { sessionOf } from './session-of.ts'

/** What options and control codes ask of a socket. */
export interface Controlled {
  readonly family: AddressFamily
  readonly clock: Clock
  now(): {
    readonly state: WinsockState
    readonly lower: Lower | undefined
    readonly connection: Connection | undefined
  }
  /** How the connect failed; asked once (SO_ERROR). */
  takeError(): Status
  extension(name: ExtensionName): unknown
}

const NO_CONNECT_TIME = 0xffffffff
const MAX_LINGER_SECONDS = 0xffff

/** What options and control codes do: the tables say who answers, this is what the switch's answers are made of. */
export class Control implements OptionHost {
  readonly #socket: Controlled

  constructor(socket: Controlled) {
    this.#socket = socket
  }

  known(option: OptionName): number | undefined {
    const { state, connection } = this.#socket.now()
    switch (option) {
      case 'SO_ACCEPTCONN':
        return state === 'listening' ? 1 : 0
      case 'SO_ERROR':
        return this.#socket.takeError()
      case 'SO_CONNECT_TIME':
        return connection === undefined
          ? NO_CONNECT_TIME
          : Math.floor((this.#socket.clock.now() - connection.since) / 1000)
      default:
        return undefined
    }
  }

  apply(option: OptionName, value: number): Status {
    const { state, lower, connection } = this.#socket.now()
    const stream = connection?.carried.stream
    switch (option) {
      case 'SO_KEEPALIVE':
      case 'TCP_NODELAY':
        lower?.host.setOption(option, value)
        return stream?.setOption(option, value) ?? 0
      case 'SO_DEBUG':
      case 'SO_GROUP_PRIORITY':
        lower?.socket.record(option, value)
        // A carrier that does not know it keeps it from nobody: it is replayed to the next one that does.
        stream?.setOption(option, value)
        return 0
      case 'SO_OOBINLINE': {
        const session = stream && sessionOf(stream)
        if (session !== undefined) session.urgentInline = value !== 0
        return 0
      }
      case 'SO_LINGER':
        return value >= -1 && value <= MAX_LINGER_SECONDS ? 0 : WSA.WSAEINVAL
      case 'SO_SNDBUF':
        return value > 0 ? 0 : WSA.WSAEINVAL
      case 'SO_SNDTIMEO':
      case 'SO_RCVTIMEO':
        return value >= 0 ? 0 : WSA.WSAEINVAL
      case 'SO_CONDITIONAL_ACCEPT':
        return state === 'listening' ? WSA.WSAEINVAL : 0
      case 'SO_UPDATE_ACCEPT_CONTEXT':
      case 'SO_UPDATE_CONNECT_CONTEXT':
        return stream === undefined ? WSA.WSAENOTCONN : 0
      default:
        return 0
    }
  }

  ioctl(code: IoctlName, input: number | string | undefined): Result<unknown> {
    const row = (IOCTLS as Readonly<Record<string, IoctlRow>>)[code]
    if (row === undefined) return failure(WSA.WSAEOPNOTSUPP)
    const { connection } = this.#socket.now()
    switch (code) {
      case 'FIONBIO':
        return input === 1 ? success(1) : failure(row.error)
      case 'FIONREAD':
        return connection === undefined ? failure(row.error) : success(connection.receiving.available)
      case 'SIOCATMARK':
        return connection === undefined
          ? failure(row.error)
          : success(sessionOf(connection.carried.stream)?.atMark ?? true)
      case 'SIO_ADDRESS_LIST_QUERY':
        return success(hostAddresses(this.#socket.family))
      case 'SIO_GET_EXTENSION_FUNCTION_POINTER':
        return this.#extension(String(input).toUpperCase())
      default:
        return failure(row.error)
    }
  }

  #extension(guid: string): Result<unknown> {
    const names = Object.keys(EXTENSIONS) as ExtensionName[]
    const name = names.find((each) => EXTENSIONS[each] === guid)
    return name === undefined ? failure(WSA.WSAEINVAL) : success(this.#socket.extension(name))
  }
}

function hostAddresses(family: AddressFamily): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter((each) => each.family === family).map(({ address }) => address),
  )
}

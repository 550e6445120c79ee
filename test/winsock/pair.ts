import { Overlapped, wsaName } from '../../src/spi/index.ts'
import type { Result, SanProvider, SocketAddress, Status } from '../../src/spi/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import type { Switch, SwitchOptions } from '../../src/switch/switch.ts'
import { Winsock } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'

export const LOCAL: SocketAddress = { family: 'IPv4', address: '127.0.0.1', port: 0 }

/** A Winsock of its own, with the switch below it. */
export interface Program {
  readonly winsock: Winsock
  readonly switch: Switch
}

const made: Winsock[] = []

/** Ends every Winsock that was made here, whatever state a test left it in. */
export function cleanUp(): void {
  for (const winsock of made.splice(0)) while (winsock.cleanup() === 0) continue
}

/** @param san The SAN provider; without one everything goes over TCP/IP. */
export function program(san?: SanProvider, options: Omit<SwitchOptions, 'san'> = {}): Program {
  const theSwitch = createSwitch({ san: san === undefined ? [] : [san], ...options })
  const schedule = options.schedule ?? ((job: () => void) => setImmediate(job))
  const winsock = new Winsock({
    switch: theSwitch,
    tcpip: tcpip(),
    schedule,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    onCleanup: () => {
      theSwitch.close()
    },
  })
  valueOf(winsock.startup())
  made.push(winsock)
  return { winsock, switch: theSwitch }
}

/** The carriers that most tests run over. */
export const CARRIERS: readonly (readonly [name: string, make: () => SanProvider | undefined])[] = [
  ['tcpip', () => undefined],
  ['loopback', () => loopback()],
]

export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`it answered ${wsaName(result.error)}`)
  return result.value
}

/** `success`, or the name of the error. */
export function nameOf(result: Result<unknown> | Status): string {
  const status = typeof result === 'number' ? result : result.ok ? 0 : result.error
  return status === 0 ? 'success' : wsaName(status)
}

/** An overlapped operation that tells, and how often it told. */
export interface Told {
  readonly overlapped: Overlapped
  readonly ended: Promise<readonly [status: string, bytes: number]>
  readonly times: () => number
}

export function told({ silent = false } = {}): Told {
  let times = 0
  let overlapped: Overlapped | undefined
  const ended = new Promise<readonly [string, number]>((resolve) => {
    overlapped = new Overlapped({
      silent,
      completed: (status, bytes) => {
        times += 1
        resolve([nameOf(status), bytes])
      },
    })
  })
  return { overlapped: overlapped!, ended, times: () => times }
}

/** A listening socket and its address. */
export function listening(
  { winsock }: Program,
  options: { backlog?: number; conditional?: boolean; local?: SocketAddress } = {},
): { readonly listener: WinsockSocket; readonly address: SocketAddress } {
  const listener = valueOf(winsock.socket())
  if (options.conditional === true) listener.setsockopt('SO_CONDITIONAL_ACCEPT', 1)
  const status = listener.bind(options.local ?? LOCAL) || listener.listen(options.backlog ?? 8)
  if (status !== 0) throw new Error(`listening failed with ${wsaName(status)}`)
  return { listener, address: valueOf(listener.getsockname()) }
}

export interface Pair {
  readonly listener: WinsockSocket
  readonly address: SocketAddress
  readonly client: WinsockSocket
  readonly server: WinsockSocket
}

/** Two connected sockets. */
export async function connected(one: Program, conditional = false): Promise<Pair> {
  const { listener, address } = listening(one, { conditional })
  const client = valueOf(one.winsock.socket())
  const [server] = await Promise.all([listener.blocking.accept(), client.blocking.connect(address)])
  return { listener, address, client, server }
}

/** Everything up to the end of the stream. */
export async function readToEnd(socket: WinsockSocket, bytesAtOnce = 1 << 16): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (;;) {
    const buffer = Buffer.alloc(bytesAtOnce)
    const read = await socket.blocking.recv(buffer)
    if (read === 0) return Buffer.concat(pieces)
    pieces.push(buffer.subarray(0, read))
  }
}

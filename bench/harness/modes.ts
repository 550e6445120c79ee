import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** How one pair of processes is run, and by what its connections must have been carried. */
export interface ModeTraits {
  readonly title: string
  readonly switchedServer: boolean
  readonly switchedClient: boolean
  readonly unixSocket: boolean
  /** What the programs are written for: `node:net`, or Winsock Kernel, which needs no preload. */
  readonly face: Face
  readonly carrier: Carrier
}

export type Face = 'net' | 'wsk'

/** `san` is whatever is not TCP/IP and not a Unix domain socket: here, shared memory. */
export type Carrier = 'tcp' | 'unix' | 'san'

export const MODES = {
  stock: {
    title: 'stock',
    switchedServer: false,
    switchedClient: false,
    unixSocket: false,
    face: 'net',
    carrier: 'tcp',
  },
  uds: {
    title: 'Unix socket',
    switchedServer: false,
    switchedClient: false,
    unixSocket: true,
    face: 'net',
    carrier: 'unix',
  },
  switched: {
    title: 'switched',
    switchedServer: true,
    switchedClient: true,
    unixSocket: false,
    face: 'net',
    carrier: 'san',
  },
  half: {
    title: 'only client switched',
    switchedServer: false,
    switchedClient: true,
    unixSocket: false,
    face: 'net',
    carrier: 'tcp',
  },
  'half-server': {
    title: 'only server switched',
    switchedServer: true,
    switchedClient: false,
    unixSocket: false,
    face: 'net',
    carrier: 'tcp',
  },
  wsk: {
    title: 'WSK',
    switchedServer: true,
    switchedClient: true,
    unixSocket: false,
    face: 'wsk',
    carrier: 'san',
  },
} as const satisfies Record<string, ModeTraits>

export type Mode = keyof typeof MODES

let folder: string | undefined
let sockets = 0

/** Names a Unix domain socket; its folder goes when this process does. */
function nextSocketPath(): string {
  if (folder === undefined) {
    const created = mkdtempSync(join(tmpdir(), 'bench-'))
    process.on('exit', () => {
      rmSync(created, { recursive: true, force: true })
    })
    folder = created
  }
  sockets += 1
  return join(folder, `${sockets}.sock`)
}

/** Where the server of one run listens. */
export function endpointArguments(mode: Mode): string[] {
  if (!MODES[mode].unixSocket) return ['--host', '127.0.0.1', '--port', '0']
  return ['--path', nextSocketPath()]
}

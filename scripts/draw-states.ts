/**
 * Draws docs/states.md from the transition tables. `--check` compares instead, and fails when the file is stale, or a table of
 * the sources is not among those that are drawn.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { TRANSITIONS as HAND_OVER } from '../src/faces/net/hand-over-state.ts'
import { TRANSITIONS as WINSOCK } from '../src/faces/winsock/socket-state.ts'
import { TRANSITIONS as EXPOSURE } from '../src/providers/fabric/exposures.ts'
import { TRANSITIONS as SLOT } from '../src/providers/fabric/slot.ts'
import { TRANSITIONS as OFFER } from '../src/providers/shm/offer-state.ts'
import { TRANSITIONS as SHM_CONNECTION } from '../src/providers/shm/connection-state.ts'
import { TRANSITIONS as LINK } from '../src/san/link-state.ts'
import { TRANSITIONS as SAN_SOCKET } from '../src/san/socket-state.ts'
import { TRANSITIONS as INSPECTION } from '../src/faces/wsk/inspections.ts'
import { TRANSITIONS as IRP } from '../src/faces/wsk/irp.ts'
import * as WSK from '../src/faces/wsk/socket-states.ts'
import { TRANSITIONS as REGISTRATION } from '../src/faces/wsk/wsk.ts'
import { TRANSITIONS as TCP_SOCKET } from '../src/providers/tcpip/socket-state.ts'
import { TRANSITIONS as TCP_STREAM } from '../src/providers/tcpip/stream-state.ts'
import { TRANSITIONS as REQUEST } from '../src/switch/incoming.ts'
import { TRANSITIONS as CONNECT } from '../src/switch/connect-state.ts'
import { TRANSITIONS as RESUME } from '../src/switch/resume-state.ts'
import { TRANSITIONS as MOVING } from '../src/switch/session/moving-state.ts'
import { TRANSITIONS as PEER } from '../src/switch/session/peer-state.ts'
import { TRANSITIONS as SESSION } from '../src/switch/session/session-state.ts'
import { TRANSITIONS as SOCKET } from '../src/switch/socket-state.ts'
import { refuseOptions } from './support/cannot.ts'

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>

interface Machine {
  readonly title: string
  readonly source: string
  /** The states a new object may be in. */
  readonly starts: readonly string[]
  readonly table: Table
}

const MACHINES: readonly Machine[] = [
  {
    title: "An application's socket, as the switch sees it",
    source: 'src/switch/socket-state.ts',
    starts: ['idle'],
    table: SOCKET,
  },
  {
    title: "An application's Winsock socket",
    source: 'src/faces/winsock/socket-state.ts',
    starts: ['created'],
    table: WINSOCK,
  },
  {
    title: 'A request that the application is asked about',
    source: 'src/switch/incoming.ts',
    starts: ['judging'],
    table: REQUEST,
  },
  {
    title: 'A session',
    source: 'src/switch/session/session-state.ts',
    starts: ['negotiating'],
    table: SESSION,
  },
  {
    title: 'The connect of a companion',
    source: 'src/switch/connect-state.ts',
    starts: ['asking'],
    table: CONNECT,
  },
  {
    title: 'A session that another process has packed, on its way here',
    source: 'src/switch/resume-state.ts',
    starts: ['joining'],
    table: RESUME,
  },
  {
    title: 'The peer of a session',
    source: 'src/switch/session/peer-state.ts',
    starts: ['there'],
    table: PEER,
  },
  {
    title: 'The hand-over of a session to another process',
    source: 'src/switch/session/moving-state.ts',
    starts: ['running', 'resuming'],
    table: MOVING,
  },
  {
    title: 'A socket of TCP/IP, for faces other than that for `node:net`',
    source: 'src/providers/tcpip/socket-state.ts',
    starts: ['idle'],
    table: TCP_SOCKET,
  },
  {
    title: 'A socket of `net` on its way to another process',
    source: 'src/faces/net/hand-over-state.ts',
    starts: ['offered'],
    table: HAND_OVER,
  },
  {
    title: 'A connection over TCP/IP, for faces other than that for `node:net`',
    source: 'src/providers/tcpip/stream-state.ts',
    starts: ['open'],
    table: TCP_STREAM,
  },
  {
    title: 'A SAN socket, whatever carries it',
    source: 'src/san/socket-state.ts',
    // An accepted socket is connected from the start.
    starts: ['open', 'connected'],
    table: SAN_SOCKET,
  },
  {
    title: 'One end of a connection over shared memory',
    source: 'src/providers/shm/connection-state.ts',
    starts: ['standing'],
    table: SHM_CONNECTION,
  },
  {
    title: 'A listener that shares its address, over shared memory',
    source: 'src/providers/shm/offer-state.ts',
    starts: ['outside'],
    table: OFFER,
  },
  {
    title: 'A link between two event loops, over shared memory or a fabric',
    source: 'src/san/link-state.ts',
    starts: ['opening'],
    table: LINK,
  },
  {
    title: 'A slot of a link between two hosts, while a connection has it',
    source: 'src/providers/fabric/slot.ts',
    starts: ['open'],
    table: SLOT,
  },
  {
    title: 'Application memory that a peer on another host may read',
    source: 'src/providers/fabric/exposures.ts',
    starts: ['open'],
    table: EXPOSURE,
  },
  {
    title: 'A registration with WSK',
    source: 'src/faces/wsk/wsk.ts',
    starts: ['unregistered'],
    table: REGISTRATION,
  },
  {
    title: 'An IRP',
    source: 'src/faces/wsk/irp.ts',
    starts: ['idle'],
    table: IRP,
  },
  {
    title: 'A basic socket of WSK',
    source: 'src/faces/wsk/socket-states.ts',
    starts: ['created'],
    table: WSK.BASIC,
  },
  {
    title: 'A listening socket of WSK',
    source: 'src/faces/wsk/socket-states.ts',
    starts: ['created'],
    table: WSK.LISTENING,
  },
  {
    title: 'A datagram socket of WSK',
    source: 'src/faces/wsk/socket-states.ts',
    starts: ['created'],
    table: WSK.DATAGRAM,
  },
  {
    title: 'A connection-oriented socket of WSK',
    source: 'src/faces/wsk/socket-states.ts',
    starts: ['created', 'connected'],
    table: WSK.CONNECTION,
  },
  {
    title: 'A stream socket of WSK',
    source: 'src/faces/wsk/socket-states.ts',
    starts: ['created'],
    table: WSK.STREAM,
  },
  {
    title: 'A connection request under inspection',
    source: 'src/faces/wsk/inspections.ts',
    starts: ['inspecting'],
    table: INSPECTION,
  },
]

const FILE = join('docs', 'states.md')
const HEAD = `# States

Drawn by \`scripts/draw-states.ts\` from the transition tables; edit the tables, not this page. Each table is the only place
that knows which event is legal when: an event without an arrow is a bug, and throws.
`

/** One arrow for each pair of states, with every event that leads along it. */
function draw({ title, source, starts, table }: Machine): string {
  const lines = starts.map((state) => `  [*] --> ${state}`)
  for (const [from, events] of Object.entries(table)) {
    const arrows = new Map<string, string[]>()
    for (const [event, to] of Object.entries(events)) arrows.set(to, [...(arrows.get(to) ?? []), event])
    for (const [to, names] of arrows) lines.push(`  ${from} --> ${to}: ${names.join(', ')}`)
    if (arrows.size === 0) lines.push(`  ${from} --> [*]`)
  }
  return `## ${title}\n\nTable: [${source}](../${source}).\n\n\`\`\`mermaid\nstateDiagram-v2\n${lines.join('\n')}\n\`\`\`\n`
}

function current(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The sources that have more tables, or fewer, than are drawn of them. */
function undrawn(root: string): string[] {
  const folder = join(root, 'src')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join('src', name))
    .filter((file) => {
      const tables = readFileSync(join(root, file), 'utf8').match(/\bsatisfies Table\b/g)?.length ?? 0
      return tables !== MACHINES.filter(({ source }) => source === file).length
    })
}

refuseOptions('draw the states', ['--check'])
const options = process.argv.slice(2)
const root = options.find((option) => !option.startsWith('--')) ?? process.cwd()
const path = join(root, FILE)
const drawn = [HEAD, ...MACHINES.map(draw)].join('\n')
const complaints = undrawn(root).map((file) => `${file} has other tables than ${FILE} shows`)
if (!options.includes('--check')) {
  writeFileSync(path, drawn)
  console.log(`draw-states: wrote ${FILE}`)
} else if (current(path) !== drawn) {
  complaints.push(`${FILE} does not show the tables; draw it with: node dist/scripts/draw-states.js`)
} else if (complaints.length === 0) {
  console.log(`draw-states: ${FILE} shows the tables`)
}
for (const complaint of complaints) console.error(`draw-states: ${complaint}`)
if (complaints.length > 0) process.exitCode = 1

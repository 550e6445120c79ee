/** The support table: rows about members of Node's modules, what is wrong with them, and how they are shown. */
import { relative } from 'node:path'

import { REASONS } from '../../src/switch/reasons.ts'
import { isGroup } from '../node-suite/test-files.ts'

/** How a member fares on a switched connection. */
export const STATES = {
  same: 'as on stock Node',
  differs: 'switched, with a difference',
  bridged: 'goes on over a bridge',
  tcpip: 'stays on TCP/IP',
  apart: 'has nothing to do with connections',
  untested: 'newer than this release',
} as const

export interface Row {
  /** Names, or `*` for all that no other row names. */
  readonly members: readonly string[]
  readonly state: keyof typeof STATES
  /** How and why it differs. */
  readonly how?: string
  /** Why it stays on TCP/IP. */
  readonly reason?: string
  /** The first major version of Node that has it, where not all do. */
  readonly since?: number
  /** Titles of the tests that show it. */
  readonly tests?: readonly string[]
  /** The group of Node's own tests that shows it. */
  readonly suite?: string
}

export interface Surface {
  /** As `membersOf` takes it: `members net.Socket`. */
  readonly of: string
  readonly rows: readonly Row[]
}

export interface Page {
  readonly title: string
  readonly surfaces: readonly Surface[]
}

/** Where each test is, by its title. */
export type TestFiles = ReadonlyMap<string, string>

/** @param complete Rows about what is not there are wrong, too: on the version of Node that the declarations describe. */
export function complaintsAbout(
  { of, rows }: Surface,
  members: readonly string[],
  tests: TestFiles,
  complete: boolean,
): readonly string[] {
  const named = rows.flatMap((row) => row.members)
  const rest = named.includes('*')
  const lasting = rows.filter(({ since }) => since === undefined).flatMap((row) => row.members)
  return [
    ...members
      .filter((name) => !rest && !named.includes(name))
      .map((name) => `${of}: no row tells of '${name}'`),
    ...lasting
      .filter((name) => complete && name !== '*' && !members.includes(name))
      .map((name) => `${of}: Node has no '${name}'`),
    ...named
      .filter((name, at) => named.indexOf(name) !== at)
      .map((name) => `${of}: two rows tell of '${name}'`),
    ...rows.flatMap((row) =>
      complaintsAboutRow(row, tests).map((text) => `${of}: ${row.members.join(', ')}: ${text}`),
    ),
  ]
}

function complaintsAboutRow(row: Row, tests: TestFiles): readonly string[] {
  const { state, how, reason, suite } = row
  const missing = (row.tests ?? []).filter((title) => !tests.has(title))
  const shown = (row.tests ?? []).length > 0 || suite !== undefined
  return [
    ...(state in STATES ? [] : [`'${state}' is not one of ${Object.keys(STATES).join(', ')}`]),
    ...missing.map((title) => `no test is called '${title}'`),
    ...(suite === undefined || isGroup(suite) ? [] : [`'${suite}' is no group of Node's tests`]),
    ...(reason === undefined || reason in REASONS ? [] : [`'${reason}' is no reason`]),
    ...((state === 'same' || state === 'differs') && !shown ? ['no test shows it'] : []),
    ...(state === 'differs' && how === undefined ? ['it is not said how it differs'] : []),
    ...((state === 'tcpip' || state === 'bridged') && reason === undefined ? ['it has no reason'] : []),
  ]
}

/** A page as Markdown, one table a surface. */
export function draw({ title, surfaces }: Page, tests: TestFiles): string {
  return [`### ${title}`, ...surfaces.map((surface) => drawSurface(surface, tests))].join('\n\n')
}

function drawSurface({ of, rows }: Surface, tests: TestFiles): string {
  const [kind = '', name = ''] = of.split(' ')
  const heading = kind === 'exports' ? `\`${name}\`` : `\`${name}\`: ${kind}`
  return [
    `#### ${heading}`,
    '',
    '| | State | Remarks | Shown by |',
    '|---|---|---|---|',
    ...rows.map(
      (row) => `| ${drawMembers(row)} | ${drawState(row)} | ${row.how ?? ''} | ${drawTests(row, tests)} |`,
    ),
  ].join('\n')
}

function drawMembers({ members, since }: Row): string {
  const names = members.map((name) => (name === '*' ? 'all others' : `\`${name}\``)).join(', ')
  return since === undefined ? names : `${names} (Node ${String(since)})`
}

function drawState({ state, reason }: Row): string {
  const text = STATES[state]
  return reason === undefined ? text : `${text}: [${reason}](reasons.md#${reason})`
}

function drawTests({ tests: titles = [], suite }: Row, tests: TestFiles): string {
  const files = [...new Set(titles.map((title) => tests.get(title) ?? ''))]
  const links = files.map((file) => {
    const name =
      file
        .split('/')
        .at(-1)
        ?.replace(/(\.test)?\.ts$/, '') ?? file
    return `[${name}](${relative('docs', file)})`
  })
  return [...links, ...(suite === undefined ? [] : [`Node's \`test-${suite}-*\``])].join(', ')
}

/** The support table: rows about members of Node's modules, what is wrong with them, and how they are shown. */
import { relative } from 'node:path'

import { REASONS } from '../../src/switch/reasons.ts'

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
  readonly members: readonly string[]
  readonly state: keyof typeof STATES
  /** How and why it differs. */
  readonly how?: string
  /** Why it stays on TCP/IP. */
  readonly reason?: string
  /** The first major version of Node that has it, where not all do. */
  readonly since?: number
  /** Titles of the tests that show it: the file of one of them names the member. */
  readonly tests?: readonly string[]
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

export interface TestFile {
  readonly path: string
  readonly text: string
}

/** Where each test is, by its title. */
export type TestFiles = ReadonlyMap<string, TestFile>

/** @param complete Rows about what is not there are wrong, too: on the version of Node that the declarations describe. */
export function complaintsAbout(
  { of, rows }: Surface,
  members: readonly string[],
  tests: TestFiles,
  complete: boolean,
): readonly string[] {
  const named = rows.flatMap((row) => row.members)
  const lasting = rows.filter(({ since }) => since === undefined).flatMap((row) => row.members)
  return [
    ...members.filter((name) => !named.includes(name)).map((name) => `${of}: no row tells of '${name}'`),
    ...lasting
      .filter((name) => complete && !members.includes(name))
      .map((name) => `${of}: Node has no '${name}'`),
    ...named
      .filter((name, at) => named.indexOf(name) !== at)
      .map((name) => `${of}: two rows tell of '${name}'`),
    ...rows.flatMap((row) =>
      complaintsAboutRow(row, tests).map((text) => `${of}: ${row.members.join(', ')}: ${text}`),
    ),
  ]
}

function complaintsAboutRow(
  { members, state, how, reason, tests: titles = [] }: Row,
  tests: TestFiles,
): readonly string[] {
  const files = titles.map((title) => tests.get(title))
  const shown = state === 'same' || state === 'differs'
  return [
    ...(state in STATES ? [] : [`'${state}' is not one of ${Object.keys(STATES).join(', ')}`]),
    ...titles.filter((title) => !tests.has(title)).map((title) => `no test is called '${title}'`),
    ...(reason === undefined || reason in REASONS ? [] : [`'${reason}' is no reason`]),
    ...(shown && titles.length === 0 ? ['no test shows it'] : []),
    ...(shown && titles.length > 0
      ? members
          .filter((name) => !files.some((file) => file !== undefined && names(file, name)))
          .map((name) => `none of the files of its tests names '${name}'`)
      : []),
    ...(state === 'differs' && how === undefined ? ['it is not said how it differs'] : []),
    ...((state === 'tcpip' || state === 'bridged') && reason === undefined ? ['it has no reason'] : []),
  ]
}

function names({ text }: TestFile, member: string): boolean {
  return new RegExp(`\\b${member.replaceAll('$', '\\$')}\\b`).test(text)
}

/** A page as Markdown, one table a surface. */
export function draw({ title, surfaces }: Page, tests: TestFiles): string {
  return [`### ${title}`, ...surfaces.map((surface) => drawSurface(surface, tests))].join('\n\n')
}

function drawSurface({ of, rows }: Surface, tests: TestFiles): string {
  const [kind = '', name = '', ...beyond] = of.split(/ -? ?/)
  const rest =
    beyond.length === 0 ? '' : `, beyond those of ${beyond.map((each) => `\`${each}\``).join(', ')}`
  const heading =
    { globals: 'globals of Node', exports: `\`${name}\`` }[kind] ?? `\`${name}\`: ${kind}${rest}`
  if (rows.length === 0) return [`#### ${heading}`, '', 'None.'].join('\n')
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
  const text = members.map((name) => `\`${name}\``).join(', ')
  return since === undefined ? text : `${text} (Node ${String(since)})`
}

function drawState({ state, reason }: Row): string {
  const text = STATES[state]
  return reason === undefined ? text : `${text}: [${reason}](reasons.md#${reason})`
}

function drawTests({ tests: titles = [] }: Row, tests: TestFiles): string {
  const files = [...new Set(titles.map((title) => tests.get(title)?.path ?? ''))]
  const links = files.map((file) => {
    const name =
      file
        .split('/')
        .at(-1)
        ?.replace(/(\.test)?\.ts$/, '') ?? file
    return `[${name}](${relative('docs', file)})`
  })
  return links.join(', ')
}

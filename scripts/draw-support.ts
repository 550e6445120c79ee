/**
 * Draws the tables of docs/support.md from docs/support/*.json, after holding the rows against what Node has and which tests
 * there are. `--check` compares instead, and fails when the page is stale.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import ts from 'typescript'

import { DECLARED_MAJOR } from './support/declared.ts'
import { declarations, membersOf } from './support/members.ts'
import { STATES, complaintsAbout, draw } from './support/table.ts'
import type { Page, TestFiles } from './support/table.ts'
import { titlesIn } from './trace-requirements.ts'
import { refuseOptions } from './support/cannot.ts'

const FOLDER = join('docs', 'support')
const FILE = join('docs', 'support.md')
const BEGIN =
  '<!-- Drawn by scripts/draw-support.ts from docs/support/*.json; edit those. -->\n<!-- prettier-ignore-start -->'
const END = '<!-- prettier-ignore-end -->'
/** The order of the pages. */
const PAGES = ['net', 'http', 'https', 'http2', 'processes']

function testFiles(root: string): TestFiles {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => join('test', name))
  return new Map(
    files.flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      const titles = file.includes('scenarios')
        ? scenarioNames(text)
        : titlesIn(file, text).map(({ title }) => title)
      return titles.map((title) => [title, { path: file, text }] as const)
    }),
  )
}

/** The scenarios of a differential test: `{ name: '…', … }`. */
function scenarioNames(text: string): readonly string[] {
  const names: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name) && node.name.text === 'name') {
      if (ts.isStringLiteralLike(node.initializer)) names.push(node.initializer.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('scenarios.ts', text, ts.ScriptTarget.Latest))
  return names
}

refuseOptions('draw the table of support', ['--check'])
const options = process.argv.slice(2)
const root = options.find((option) => !option.startsWith('--')) ?? process.cwd()
const check = options.includes('--check')
const names = readdirSync(join(root, FOLDER)).map((file) => file.replace(/\.json$/, ''))
const pages = PAGES.map(
  (name) => JSON.parse(readFileSync(join(root, FOLDER, `${name}.json`), 'utf8')) as Page,
)
const tests = testFiles(root)
const complete = process.versions.node.startsWith(`${DECLARED_MAJOR}.`) && declarations() !== undefined
const page = readFileSync(join(root, FILE), 'utf8')
const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]]
const complaints = [
  ...names
    .filter((name) => !PAGES.includes(name))
    .map((name) => `docs/support/${name}.json is not drawn anywhere`),
  ...pages
    .flatMap(({ surfaces }) => surfaces)
    .flatMap((surface) => {
      const members = membersOf(surface.of)
      return members === undefined ? [] : complaintsAbout(surface, members, tests, complete)
    }),
  ...(before === undefined || after === undefined ? [`${FILE} does not have the two marks`] : []),
]
const told =
  declarations() === undefined ? 'exports and members of classes' : 'exports, members, events and options'
const legend = Object.values(STATES).map((text) => `_${text}_`)
const head =
  `Every public member, event and option of each supported version of Node is in one row: ${legend.join(', ')}.\n` +
  'A row that claims one of the first two names tests, and one of their files names the member; `draw-support --check` fails otherwise, and\n' +
  '`npm run test:nodes` checks it on each version.'
const drawn = `${before ?? ''}${BEGIN}\n\n${[head, ...pages.map((each) => draw(each, tests))].join('\n\n')}\n\n${END}${after ?? ''}`
for (const complaint of complaints) console.error(`draw-support: ${complaint}`)
if (complaints.length > 0) process.exitCode = 1
else if (!check) {
  writeFileSync(join(root, FILE), drawn)
  console.log(`draw-support: wrote ${FILE}`)
} else if (page === drawn) {
  console.log(`draw-support: ${FILE} shows the rows; ${told} of Node ${process.versions.node} have one`)
} else {
  console.error(
    `draw-support: ${FILE} does not show the rows; draw it with: node dist/scripts/draw-support.js`,
  )
  process.exitCode = 1
}

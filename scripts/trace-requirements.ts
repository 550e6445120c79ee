// Compares the requirements in docs/requirements with the titles of the tests: each requirement is named by a test, or says
// why it cannot be. Prints every requirement with its tests or its reason, and fails when something is missing or unknown.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import ts from 'typescript'
import { refuseOptions } from './support/cannot.ts'

const REQUIREMENTS_FOLDER = 'docs/requirements'
const TEST_FOLDERS = ['test', 'conformance']
/** Functions whose first argument is the title of a test. */
const TITLE_FUNCTIONS = new Set(['test', 'it', 'clause', 'odd', 'overEach'])
/** `WSD-CPL-1`, and what a list such as `WSD-CPL-1, -8 to -10` goes on with. */
const IDENTIFIER = /\b((?:WS[DK]-[A-Z]+|RACE)-[A-Z]?)(\d+)([A-Z]?)((?:(?:,| to) -\d+)*)/g

export interface Requirement {
  readonly id: string
  /** Who says so; what the seeds say cannot wait. */
  readonly tag: string
  readonly meaning: string
  /** Why it cannot mean anything here, and what takes its place. */
  readonly row?: string
  /** What a later release brings. */
  readonly later?: string
}

/** A test, by its title. */
export interface Titled {
  readonly file: string
  readonly title: string
}

/** The requirements that `title` names, lists and ranges spelled out. */
export function idsIn(title: string): string[] {
  return [...title.matchAll(IDENTIFIER)].flatMap(([, prefix = '', first = '', suffix = '', more = '']) => {
    const ids = [`${prefix}${first}${suffix}`]
    let last = Number(first)
    for (const [, joint, number] of more.matchAll(/(,| to) -(\d+)/g)) {
      const from = joint === ',' ? Number(number) : last + 1
      for (let at = from; at <= Number(number); at++) ids.push(`${prefix}${at}`)
      last = Number(number)
    }
    return ids
  })
}

/**
 * The titles of the tests in the source text of a file: first arguments, and `title` of an object where tests are data. Of a
 * template the fixed parts count.
 */
export function titlesIn(file: string, text: string): Titled[] {
  const found: Titled[] = []
  const visit = (node: ts.Node): void => {
    const title = literalText(titleOf(node))
    if (title !== undefined) found.push({ file, title })
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest))
  return found
}

function titleOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isCallExpression(node)) return isTitleFunction(node.expression) ? node.arguments[0] : undefined
  const isTitle = ts.isPropertyAssignment(node) && ts.isIdentifier(node.name) && node.name.text === 'title'
  return isTitle ? node.initializer : undefined
}

function isTitleFunction(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return TITLE_FUNCTIONS.has(callee.text)
  return ts.isPropertyAccessExpression(callee) && TITLE_FUNCTIONS.has(callee.name.text)
}

function literalText(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return undefined
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('')
}

export interface Trace {
  readonly lines: readonly string[]
  readonly complaints: readonly string[]
}

/** Brings requirements and tests together. */
export function trace(requirements: readonly Requirement[], tests: readonly Titled[]): Trace {
  const byId = new Map<string, Titled[]>(requirements.map(({ id }) => [id, []]))
  const complaints: string[] = []
  for (const test of tests) {
    for (const id of new Set(idsIn(test.title))) {
      const named = byId.get(id)
      if (named === undefined)
        complaints.push(`${test.file} names ${id}, which is no requirement: ${test.title}`)
      else named.push(test)
    }
  }
  const lines = requirements.flatMap((requirement) => {
    const { id, tag, meaning, row, later } = requirement
    const named = byId.get(id) ?? []
    complaints.push(...complaintsAbout(requirement, named.length))
    return [
      `${id} [${tag}] ${meaning}`,
      ...named.map(({ file, title }) => `    test   ${file}: ${title}`),
      ...(row === undefined ? [] : [`    row    ${row}`]),
      ...(later === undefined ? [] : [`    later  ${later}`]),
    ]
  })
  const ids = requirements.map(({ id }) => id)
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at)
  return { lines, complaints: [...complaints, ...twice.map((id) => `${id} is listed twice`)] }
}

function complaintsAbout({ id, tag, row, later }: Requirement, tests: number): string[] {
  if (row !== undefined && later !== undefined) return [`${id} has a row and a later`]
  if (tests > 0 && row !== undefined) return [`${id} has a test, and a row that says it can have none`]
  if (tests > 0 && later !== undefined) return [`${id} has a test, so it is not for later`]
  if (tests > 0 || row !== undefined) return []
  if (later === undefined) return [`${id} has neither a test nor a row`]
  return tag === 'SEED' ? [`${id} is stated by a seed, and is left for later`] : []
}

/** Everything below `root`: requirements of all documents, titles of all tests. */
export function traceFolder(root: string): Trace {
  const documents = readdirSync(join(root, REQUIREMENTS_FOLDER)).filter((name) => name.endsWith('.json'))
  const requirements = documents.sort().flatMap((name) => {
    const text = readFileSync(join(root, REQUIREMENTS_FOLDER, name), 'utf8')
    return (JSON.parse(text) as { readonly requirements: readonly Requirement[] }).requirements
  })
  const files = TEST_FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  const tests = files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .sort()
    .flatMap((file) => titlesIn(file, readFileSync(join(root, file), 'utf8')))
  return trace(requirements, tests)
}

/** @param args The folder of the repository, when it is not the current one; `--quiet` leaves out what is as it should be. */
function main(args: readonly string[]): void {
  const root = args.find((arg) => arg !== '--quiet') ?? process.cwd()
  const { lines, complaints } = traceFolder(root)
  if (!args.includes('--quiet')) for (const line of lines) console.log(line)
  for (const complaint of complaints) console.error(`trace-requirements: ${complaint}`)
  if (complaints.length > 0) process.exitCode = 1
  else {
    const count = lines.filter((line) => !line.startsWith(' ')).length
    console.log(`trace-requirements: ${count} requirements, each with a test or a reason`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  refuseOptions('trace the requirements', ['--quiet'])
  main(process.argv.slice(2))
}

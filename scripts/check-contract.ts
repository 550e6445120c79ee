// Compares the numbered clauses of the service provider interface with the tests of the conformance suite: each clause has
// exactly one test, each numbered test a clause. Prints what is missing and fails.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { checks } from '../conformance/index.ts'
import { refuseOptions } from './support/cannot.ts'

const SPI_FOLDER = 'src/spi'
/** `* - MEM-1 Bytes I write …`, as a line of a doc comment. */
const CLAUSE_LINE = /^\s*\* - ([A-Z]+-\d+) /gm
const NUMBER = /^[A-Z]+-\d+$/

interface Clause {
  readonly id: string
  readonly file: string
}

function clausesOf(root: string): readonly Clause[] {
  return readdirSync(join(root, SPI_FOLDER))
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const file = join(SPI_FOLDER, name)
      const text = readFileSync(join(root, file), 'utf8')
      return [...text.matchAll(CLAUSE_LINE)].map((match) => ({ id: match[1] ?? '', file }))
    })
}

function complaints(clauses: readonly Clause[], tested: readonly string[]): readonly string[] {
  const known = new Set(clauses.map(({ id }) => id))
  const twice = (ids: readonly string[]): readonly string[] => ids.filter((id, at) => ids.indexOf(id) !== at)
  return [
    ...clauses.filter(({ id }) => !tested.includes(id)).map(({ id, file }) => `${id} of ${file} has no test`),
    ...tested.filter((id) => !known.has(id)).map((id) => `the test of ${id} has no clause in ${SPI_FOLDER}`),
    ...twice(clauses.map(({ id }) => id)).map((id) => `${id} is the number of two clauses`),
    ...twice(tested).map((id) => `${id} has two tests`),
  ]
}

refuseOptions('check the contract')
const clauses = clausesOf(process.argv[2] ?? process.cwd())
const tested = checks.map(({ id }) => id).filter((id) => NUMBER.test(id))
const found = clauses.length === 0 ? [`no clause was found in ${SPI_FOLDER}`] : complaints(clauses, tested)
for (const complaint of found) console.error(`check-contract: ${complaint}`)
if (found.length > 0) process.exitCode = 1
else
  console.log(
    `check-contract: ${clauses.length} clauses, one test each, and ${checks.length - tested.length} tests more`,
  )

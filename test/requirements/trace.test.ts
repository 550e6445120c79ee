import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { idsIn, titlesIn, trace, traceFolder } from '../../scripts/trace-requirements.ts'
import type { Requirement } from '../../scripts/trace-requirements.ts'

function requirement(id: string, more: Partial<Requirement> = {}): Requirement {
  return { id, tag: 'SIBLING', meaning: 'something', ...more }
}

function titled(title: string) {
  return { file: 'a.test.ts', title }
}

describe('the trace of requirements', () => {
  test('finds each requirement that a title names, lists and ranges included', () => {
    for (const [title, ids] of [
      ['WSD-LISTEN-1 TCP/IP listens first', ['WSD-LISTEN-1']],
      ['WSD-COMP-2 WSD-COMP-15 RACE-9 is made', ['WSD-COMP-2', 'WSD-COMP-15', 'RACE-9']],
      ['one completion (WSD-CLOSE-4, -5, -16)', ['WSD-CLOSE-4', 'WSD-CLOSE-5', 'WSD-CLOSE-16']],
      ['tells (WSD-ACCEPT-12 to -14)', ['WSD-ACCEPT-12', 'WSD-ACCEPT-13', 'WSD-ACCEPT-14']],
      ['both (WSD-CPL-1, WSD-CPL-2)', ['WSD-CPL-1', 'WSD-CPL-2']],
      ['one is left -1 and WSD-LARGE-R1 with WSD-LARGE-1E', ['WSD-LARGE-R1', 'WSD-LARGE-1E']],
      ['ACCEPT-3 is a clause, not a requirement', []],
    ] as const) {
      assert.deepEqual(idsIn(title), ids)
    }
  })

  test('finds the titles in a source, and nothing else', () => {
    const source = `
      // test('WSD-SOCK-1 in a comment')
      describe('WSD-SOCK-2 of a suite', () => {
        test('WSD-SOCK-3 plain', () => { assert.ok(true, 'WSD-SOCK-4 a message') })
        test(\`WSD-SOCK-5 \${name} and RACE-1\`, run)
        clause("WSD-SOCK-6 in the suite", run)
        context.test('WSD-SOCK-7 below', run)
        test(name, run)
        const SCENARIOS = [{ title: 'WSD-SOCK-8 in data', name: 'WSD-SOCK-9 of something', title() {} }]
      })`
    assert.deepEqual(
      titlesIn('x.ts', source).map(({ title }) => title),
      [
        'WSD-SOCK-3 plain',
        'WSD-SOCK-5 … and RACE-1',
        'WSD-SOCK-6 in the suite',
        'WSD-SOCK-7 below',
        'WSD-SOCK-8 in data',
      ],
    )
  })

  test('accepts a test, a row or a later release, and prints them', () => {
    const { lines, complaints } = trace(
      [requirement('RACE-1'), requirement('RACE-2', { row: 'no' }), requirement('RACE-3', { later: 'soon' })],
      [titled('RACE-1 holds')],
    )
    assert.deepEqual(complaints, [])
    assert.deepEqual(lines, [
      'RACE-1 [SIBLING] something',
      '    test   a.test.ts: RACE-1 holds',
      'RACE-2 [SIBLING] something',
      '    row    no',
      'RACE-3 [SIBLING] something',
      '    later  soon',
    ])
  })

  test('complains of what is missing, unknown, contradictory or twice there', () => {
    for (const [requirements, title, complaint] of [
      [[requirement('RACE-1')], 'nothing', /RACE-1 has neither/],
      [[requirement('RACE-1', { tag: 'SEED', later: 'soon' })], 'nothing', /RACE-1 is stated by a seed/],
      [[requirement('RACE-1', { row: 'no' })], 'RACE-1 holds', /RACE-1 has a test, and a row/],
      [[requirement('RACE-1', { later: 'soon' })], 'RACE-1 holds', /RACE-1 has a test, so/],
      [[requirement('RACE-1', { row: 'no', later: 'soon' })], 'nothing', /RACE-1 has a row and a later/],
      [[requirement('RACE-1')], 'RACE-1 and RACE-2 hold', /a\.test\.ts names RACE-2/],
      [
        [requirement('RACE-1', { row: 'a' }), requirement('RACE-1', { row: 'b' })],
        'nothing',
        /RACE-1 is listed twice/,
      ],
    ] as const) {
      const { complaints } = trace(requirements, [titled(title)])
      assert.equal(complaints.length, 1)
      assert.match(complaints[0] ?? '', complaint)
    }
  })

  test('holds for this repository', () => {
    let root = dirname(fileURLToPath(import.meta.url))
    while (!existsSync(join(root, 'package.json'))) root = dirname(root)
    assert.deepEqual(traceFolder(root).complaints, [])
  })
})

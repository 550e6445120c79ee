import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differencesOf, judgeDifferences } from './differences.ts'
import type { Difference } from './differences.ts'
import { parseOptions } from './options.ts'
import type { Verdict } from './run-all.ts'
import { judge } from './run-test.ts'
import type { Outcome } from './run-test.ts'
import { parseReport, shareOf, shareProblem } from './switched-share.ts'
import { belongsTo, demandsOf } from './test-files.ts'

const LIMIT = { timeout: 10_000 }

function verdict(outcome: Outcome): Verdict {
  return { outcome, exit: outcome === 'fail' ? '1' : '0', ms: 1, firstError: '', onlyAlone: false }
}

function differing(file: string): Difference {
  return { file, stock: 'pass', switched: 'fail', exit: '1', firstError: 'Error: x' }
}

test('groups do not take files of groups with a longer name', LIMIT, () => {
  assert.ok(belongsTo('test-http-abort.js', 'http'))
  assert.ok(belongsTo('test-http.mjs', 'http'))
  assert.ok(!belongsTo('test-http2-ping.js', 'http'))
  assert.ok(!belongsTo('test-https-agent.js', 'http'))
  assert.ok(!belongsTo('test-net-end.json', 'net'))
})

test('flags and environment are read from comments', LIMIT, () => {
  const source =
    "'use strict';\n// Flags: --expose-internals --title='a b'\n// Env: A=1 B=x=y\n// Flags: --no-warnings\n"
  const flags = ['--expose-internals', '--title=a b', '--no-warnings']
  assert.deepEqual(demandsOf(source), { flags, env: { A: '1', B: 'x=y' } })
})

test('an exit of 0 is a pass, or a skip that says so; everything else names its first error', LIMIT, () => {
  assert.equal(judge('0', 1, 'fine\n').outcome, 'pass')
  assert.equal(judge('0', 1, '1..0 # Skipped: missing crypto\n').outcome, 'skip')
  assert.equal(judge('timeout', 1, '').firstError, 'no output')
  const failed = judge(
    '1',
    1,
    'node:assert:5\n  throw x\n\nAssertionError [ERR_ASSERTION]: 1 !== 2\n    at y\n',
  )
  assert.deepEqual([failed.outcome, failed.firstError], ['fail', 'AssertionError [ERR_ASSERTION]: 1 !== 2'])
})

test('what fails on stock Node is no difference; what is skipped only when switched is one', LIMIT, () => {
  const stock = new Map([
    ['a', verdict('fail')],
    ['b', verdict('pass')],
    ['c', verdict('pass')],
    ['d', verdict('skip')],
  ])
  const switched = new Map([
    ['a', verdict('pass')],
    ['b', verdict('skip')],
    ['c', verdict('pass')],
    ['d', verdict('fail')],
  ])
  assert.deepEqual(
    differencesOf(stock, switched).map(({ file }) => file),
    ['b', 'd'],
  )
})

test('expected differences hold for their versions, and are stale when nothing differs', LIMIT, () => {
  const expectations = {
    a: { reason: 'because' },
    b: { reason: 'only there', nodes: ['20'] },
    c: { reason: 'once' },
    unseen: { reason: 'not in this suite' },
    d: { reason: 'loses early messages', preload: 'import' as const },
  }
  const ran = new Set(['a', 'b', 'c', 'd'])
  const judgement = judgeDifferences(
    [differing('a'), differing('b')],
    expectations,
    ran,
    '24.12.0',
    'require',
  )
  assert.deepEqual(
    judgement.expected.map(({ file, reason }) => [file, reason]),
    [['a', 'because']],
  )
  assert.deepEqual(
    judgement.unexpected.map(({ file }) => file),
    ['b'],
  )
  assert.deepEqual(judgement.stale, ['c'])
  assert.deepEqual(judgeDifferences([differing('b')], expectations, ran, '20.11.1', 'import').stale, [
    'a',
    'c',
    'd',
  ])
})

test('the share counts connects and eligible misses only', LIMIT, () => {
  const share = shareOf([
    { san: { connect: 3, accept: 2 }, tcpip: { 'handshake-timeout': 1, tls: 9 } },
    { san: { connect: 0, accept: 1 }, tcpip: { 'peer-not-switched': 2, tls: 1 } },
  ])
  assert.deepEqual([share.connects, share.accepts, share.eligible, share.tcpip.get('tls')], [3, 3, 6, 10])
  assert.equal(shareProblem(share, 0.5), undefined)
  assert.match(shareProblem(share, 0.6) ?? '', /50\.0 % of the eligible/)
  assert.match(shareProblem(shareOf([]), 0) ?? '', /no test process reported/)
  assert.equal(parseReport('{"pid":1,"san":{"conn'), undefined)
})

test('a mistake on the command line is told with its remedy', LIMIT, () => {
  assert.throws(() => parseOptions(['--node', '24.12.0']), /--node and --suite are needed/)
  assert.throws(() => parseOptions(['--what']), /Cannot run the suite: .*--what/)
  assert.throws(() => parseOptions(['--node', 'x', '--suite', '/nowhere']), /holds no test\/parallel/)
})

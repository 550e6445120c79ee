/** Rules: what they may say, what is wrong with a line, and which of them decides. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '../../src/compose/config.ts'
import { RulePolicy, policyOf } from '../../src/compose/policy.ts'
import { inlineRules, parseRules, readRules } from '../../src/compose/rules.ts'
import type { Role } from '../../src/switch/policy.ts'

const HERE = { family: 'IPv4', address: '127.0.0.1' } as const
const HERE6 = { family: 'IPv6', address: '::1' } as const
const NETWORK = { family: 'IPv4', address: '10.20.30.40' } as const

/** What `rules` say of a connect to `address` at `port`, in a program called `program`. */
function decide(
  rules: string,
  address: { family: 'IPv4' | 'IPv6'; address: string } = HERE,
  port = 80,
  role: Role = 'connect',
  program = '/srv/app/server.js',
): string {
  const policy = new RulePolicy({
    rules: inlineRules(rules),
    observe: false,
    program: () => [program, '/usr/bin/node'],
  })
  return policy.decide(role, address, port).action
}

const FITS: readonly (readonly [
  rules: string,
  ...(Parameters<typeof decide> extends [string, ...infer R] ? R : never),
])[] = [
  ['stay'],
  ['stay address=127.0.0.1'],
  ['stay address=127.0.0.0/8'],
  ['stay address=10.0.0.0/8,127.0.0.1'],
  ['stay address=::1', HERE6],
  ['stay address=::/0', HERE6],
  ['stay port=80'],
  ['stay port=443,79-81'],
  ['stay role=connect'],
  ['stay role=listen,accept', HERE, 80, 'accept'],
  ['stay program=server.js'],
  ['stay program=ser*.j?'],
  ['stay program=/srv/*.js'],
  ['stay program=other,node'],
  ['stay address=127.0.0.0/8 port=80 role=connect program=*'],
  ['# nothing ; stay # at all'],
  ['switch port=81; stay'],
]

for (const [rules, ...about] of FITS) {
  test(`'${rules}' keeps ${JSON.stringify(about)} on TCP/IP`, () => {
    assert.equal(decide(rules, ...about), 'stay')
  })
}

const MISSES: typeof FITS = [
  [''],
  ['stay address=127.0.0.2'],
  ['stay address=::1'],
  ['stay address=127.0.0.0/8', NETWORK],
  ['stay address=0.0.0.0/0', HERE6],
  ['stay port=81-65535'],
  ['stay role=listen'],
  ['stay program=server.js', HERE, 80, 'connect', '/srv/app/serverxjs'],
  ['stay program=server'],
  ['stay program=app/server.js'],
  ['stay program=srv'],
  ['switch; stay'],
  ['stay port=80 address=10.0.0.0/8'],
]

for (const [rules, ...about] of MISSES) {
  test(`'${rules}' leaves ${JSON.stringify(about)} to be switched`, () => {
    assert.equal(decide(rules, ...about), 'switch')
  })
}

test('a decision names its rule as it stands in the file', () => {
  const rules = parseRules(['# ours', '', 'stay  port=80 # web'], 'line', 'rules')
  const policy = new RulePolicy({ rules, observe: false, program: () => [] })
  assert.deepEqual(policy.decide('connect', HERE, 80), { action: 'stay', rule: 'line 3: stay  port=80' })
})

test('observing turns into observation what would be switched, and nothing else', () => {
  const policy = policyOf({ rules: inlineRules('stay port=1'), observe: true, program: () => [] })
  assert.equal(policy?.decide('connect', HERE, 80).action, 'observe')
  assert.equal(policy.decide('connect', HERE, 1).action, 'stay')
  const ruleless = policyOf({ rules: [], observe: true, program: () => [] })
  assert.equal(ruleless?.decide('connect', HERE, 80).action, 'observe')
})

test('one policy decides about each address anew', () => {
  const policy = new RulePolicy({
    rules: inlineRules('stay address=127.0.0.1'),
    observe: false,
    program: () => [],
  })
  const actions = [HERE, NETWORK, HERE, HERE6].map((address) => policy.decide('connect', address, 80).action)
  assert.deepEqual(actions, ['stay', 'switch', 'stay', 'switch'])
})

test('without rules nobody is asked', () => {
  assert.equal(policyOf({ rules: [], observe: false, program: () => [] }), undefined)
})

test('a program is asked for its names at the first decision', () => {
  let asked = 0
  const program = (): string[] => {
    asked += 1
    return []
  }
  const policy = new RulePolicy({ rules: inlineRules('stay'), observe: false, program })
  assert.equal(asked, 0)
  policy.decide('connect', HERE, 80)
  policy.decide('listen', HERE, 80)
  assert.equal(asked, 1)
})

const WRONG: readonly (readonly [line: string, complaint: string])[] = [
  ['swich', 'unknown action "swich"; valid are switch, stay, observe'],
  ['stay now', 'unknown key "now"; valid are program, role, address, port, such as port=80'],
  ['stay ports=80', 'unknown key "ports"; valid are program, role, address, port, such as port=80'],
  ['stay port=', '"port" has no value'],
  ['stay port=80 port=81', '"port" is given twice; separate values by commas'],
  ['stay role=client', 'unknown role "client"; valid are connect, listen, accept'],
  ['stay port=0', 'unknown port "0"; valid are 1 to 65535 and ranges, such as 80 or 8000-8999'],
  ['stay port=90-80', 'unknown port "90-80"; valid are 1 to 65535 and ranges, such as 80 or 8000-8999'],
  ['stay port=65536', 'unknown port "65536"; valid are 1 to 65535 and ranges, such as 80 or 8000-8999'],
  ['stay port=80-', 'unknown port "80-"; valid are 1 to 65535 and ranges, such as 80 or 8000-8999'],
  ['stay port=80,', 'unknown port ""; valid are 1 to 65535 and ranges, such as 80 or 8000-8999'],
  [
    'stay address=localhost',
    'unknown address "localhost"; valid are IPv4 and IPv6 addresses and networks, such as 10.0.0.0/8 or ::1',
  ],
  [
    'stay address=10.0.0.0/33',
    'unknown address "10.0.0.0/33"; valid are IPv4 and IPv6 addresses and networks, such as 10.0.0.0/8 or ::1',
  ],
]

for (const [line, complaint] of WRONG) {
  test(`'${line}' is an error that says what would be right`, () => {
    assert.throws(() => parseRules(['switch', line], 'line', '/etc/rules'), {
      message: `Cannot read rules: /etc/rules, line 2: ${complaint}`,
    })
  })
}

test('every bad line is named', () => {
  assert.throws(() => inlineRules('stray; stay; port=80'), {
    message:
      'Cannot read rules: SOCKSWITCH_RULE, rule 1: unknown action "stray"; valid are switch, stay, observe\n' +
      'Cannot read rules: SOCKSWITCH_RULE, rule 3: unknown action "port=80"; valid are switch, stay, observe',
  })
})

test('of a file that holds no rules a few lines are named, and nothing of it moves the cursor', () => {
  const lines = Array.from({ length: 100 }, () => `\u001b[2J\u009b${'x'.repeat(1000)}`)
  assert.throws(
    () => parseRules(lines, 'line', '/bin/true'),
    ({ message }: Error) => {
      const said = message.split('\n')
      assert.equal(said.length, 6)
      assert.match(
        said[0] ?? '',
        /^Cannot read rules: \/bin\/true, line 1: unknown action "\?\[2J\?x+…"; valid are /,
      )
      assert.equal(said[5], 'Cannot read rules: /bin/true: 95 more are wrong')
      assert.doesNotMatch(message.replaceAll('\n', ''), /\p{C}/u)
      return message.length < 1000
    },
  )
})

test('a file that is not there is an error', () => {
  assert.throws(() => readRules('/nowhere/rules'), /^Error: Cannot read rules: \/nowhere\/rules: ENOENT/)
})

test('the environment: inline rules come first, and off reads none', () => {
  const inline = { SOCKSWITCH_RULE: 'stay port=80' }
  assert.deepEqual(
    readConfig(inline).rules.map(({ text }) => text),
    ['rule 1: stay port=80'],
  )
  assert.deepEqual(readConfig({ SOCKSWITCH: 'off', SOCKSWITCH_RULES: '/nowhere/rules' }).rules, [])
  for (const name of ['SOCKSWITCH_RULES', 'SOCKSWITCH_STATS_FILE']) {
    assert.throws(() => readConfig({ [name]: '' }), {
      message: `Cannot start sockswitch: ${name} is empty; name a file, or unset it`,
    })
  }
  assert.throws(() => readConfig({ SOCKSWITCH: 'yes' }), /SOCKSWITCH="yes" is not one of on, off, observe/)
  assert.throws(
    () => readConfig({ SOCKSWITCH_RULS: 'x' }),
    /unknown variable SOCKSWITCH_RULS; known are .*SOCKSWITCH_RULES/,
  )
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { WsaName } from '../../src/spi/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { FallibleCall } from '../../src/providers/wrap/fault.ts'
import { FALLIBLE } from '../scenarios/faults.ts'
import { Pattern } from '../support/pattern.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { CLIENT, Host, SERVER, sanOver } from '../switch/host.ts'
import type { Attempt } from '../switch/host.ts'
import type { End } from '../switch/session-end.ts'

/** Every call between switch and provider that can fail, and how: those for application memory, too, which loopback has. */
const CALLS: readonly (readonly [FallibleCall, WsaName])[] = [
  ...FALLIBLE,
  ['registerRdmaMemory', 'WSAENOBUFS'],
  ['deregisterRdmaMemory', 'WSAEINVAL'],
  ['rdmaRead', 'WSAEFAULT'],
]
const LIMITS = { rdma: { maxBytes: 1 << 20, thresholdBytes: 4000 }, duplicates: true }
const SIZES = [1, 1023, 1024, 1025, 4000, 4001, 20_000]

/** A stream from one end to the other, of every size, as far as it goes: what arrives is what was sent, from the first byte on. */
class Course {
  readonly #pattern: Pattern
  readonly #from: End
  readonly #to: End
  sent = 0
  heard = 0

  constructor(from: End, to: End, key: number) {
    this.#from = from
    this.#to = to
    this.#pattern = new Pattern(key)
  }

  send(size: number): void {
    const { session } = this.#from
    const bytes = this.#pattern.slice(this.sent, size)
    const isLarge = session.sendLarge(bytes, () => undefined) === 0
    const taken = isLarge ? size : session.write([bytes])
    if (taken > 0) this.sent += taken
  }

  hear(): void {
    const bytes = this.#to.readAll()
    assert.equal(this.#pattern.damageIn(bytes, this.heard), undefined, 'the first wrong byte')
    this.heard += bytes.length
  }
}

/** Two computers, of which the first has a provider whose `nth` such call fails; everything one can do, in turn. */
async function walk(
  call: FallibleCall,
  error: WsaName,
  nth: number,
  sick: 'client' | 'server',
): Promise<void> {
  const clock = new FakeClock()
  const network = new LoopbackNetwork(clock)
  const [bad, good] = [true, false].map((isBad) => {
    const raw = sanOver(network, { limits: LIMITS })
    const provider = isBad ? fault(raw, { plan: [{ call, error, nth }], clock }) : raw
    return new Host({ network, providers: [provider] })
  })
  assert.ok(bad !== undefined && good !== undefined)
  const [server, client] = sick === 'server' ? [bad, good] : [good, bad]
  const pass = async (): Promise<void> => {
    await settle(8)
    for (const each of [clock, server.clock, client.clock]) each.advance(300)
    await settle(8)
  }

  const listening = server.listen(SERVER, { recorded: [['SO_DEBUG', 1]] })
  const attempts = [1, 2].map((i) =>
    client.connect(SERVER, { local: { ...CLIENT, port: 2000 + i }, recorded: [['SO_DEBUG', 1]] }),
  )
  await pass()
  for (const attempt of attempts) assert.notEqual(attempt.outcome.kind, 'failed')
  const ends = attempts.filter(({ outcome }) => outcome.kind === 'san').map(({ end }) => end)
  assert.ok(listening.ends.length <= ends.length + 1, 'a server is told of connections that nobody made')

  const [made] = attempts.filter(({ outcome }) => outcome.kind === 'san')
  const at = listening.arrivals.findIndex(({ remote }) => remote.port === portOf(made))
  const [one, other] = [made?.end, listening.ends[at]]
  if (one !== undefined && other !== undefined) {
    const courses = [new Course(one, other, 1), new Course(other, one, 2)]
    for (const size of SIZES) {
      for (const course of courses) course.send(size)
      await settle(8)
      for (const course of courses) course.hear()
    }
    let told = 0
    const status = one.session.suspend(process.pid, () => (told += 1))
    await settle(8)
    one.session.reset()
    await pass()
    assert.equal(told, status === 0 ? 1 : 0, 'a hand-over ends once')
    for (const course of courses) assert.ok(course.heard <= course.sent)
    const isWhole = courses.every(({ heard, sent }) => heard === sent)
    assert.ok(isWhole || other.session.readEnd() !== 'more', 'bytes are missing, and nobody is told')
  }

  for (const end of [...ends, ...listening.ends]) end.session.close()
  for (const attempt of attempts) attempt.socket.close()
  listening.socket.close()
  // Whoever stood still when it was closed waits for the next owner first.
  for (let i = 0; i < 6; i++) await pass()
  for (const { journal } of [server, client]) {
    const made = journal
      .all('san^createSocketHandle')
      .filter(({ result }) => (result as { ok: boolean }).ok).length
    assert.equal(journal.count('san^closeSocketHandle'), made, 'switch descriptors are left')
  }
  // Which would close what is left.
  server.switch.close()
  client.switch.close()
}

/** The local port of an attempt over the SAN. */
function portOf(attempt: Attempt | undefined): number | undefined {
  return attempt?.outcome.kind === 'san' ? attempt.outcome.local.port : undefined
}

describe('a provider that fails at one step: nothing hangs, lies, ends twice or is left', () => {
  for (const [call, error] of CALLS) {
    test(`${call} answers ${error}`, async () => {
      for (const sick of ['client', 'server'] as const) {
        for (const nth of [1, 2, 3, 5, 8]) await walk(call, error, nth, sick)
      }
    })
  }
})

/** TLS, HTTPS and judging servers in cluster workers: switched at both ends, and every worker has its share. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { beside } from '../support/app.ts'
import { Program } from './program.ts'

const TIMEOUT_MS = 60_000
const KINDS = beside(import.meta.url, 'kinds')
const WORKERS = 2
const VISITS = 8

type Kind = 'tls' | 'https' | 'inspect' | 'inspect tls'

interface Seen {
  readonly counts: Readonly<Record<Kind | 'asked', number>>
  readonly accepts: number
}

interface Visited {
  readonly got: string[]
  /** Connections that a SAN carried, as the client counts them. */
  readonly switched: number
}

class Scene {
  readonly host: Program
  readonly client: Program
  ports: Readonly<Record<Kind, number>> = { tls: 0, https: 0, inspect: 0, 'inspect tls': 0 }

  constructor(t: TestContext, env: Readonly<Record<string, string>>) {
    this.host = new Program(KINDS, { test: t })
    this.client = new Program(KINDS, { test: t, env })
  }

  static async begin(
    t: TestContext,
    policy: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Scene> {
    const scene = new Scene(t, env)
    await Promise.all([scene.host.event('ready'), scene.client.event('ready')])
    const { ports } = await scene.host.ask('start', { policy, count: WORKERS })
    scene.ports = ports as Scene['ports']
    return scene
  }

  async visits(kind: Kind): Promise<Visited> {
    const got: string[] = []
    let before: number | undefined
    let after = 0
    for (let i = 0; i < VISITS; i += 1) {
      const answer = await this.client.ask('visit', { kind, port: this.ports[kind] })
      got.push(answer['got'] as string)
      after = (answer['connects'] as number | undefined) ?? 0
      before ??= after
    }
    return { got, switched: after - (before ?? 0) }
  }

  /** What each worker has seen; with a verdict, what they answer from now on. */
  async ask(verdict?: string): Promise<readonly Seen[]> {
    return (await this.host.ask('ask', { verdict }))['workers'] as Seen[]
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0)
}

for (const policy of ['round robin', 'shared']) {
  test(
    `${policy}: servers of workers over TLS, HTTPS and with inspect are switched, and all workers have their share`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const scene = await Scene.begin(t, policy)
      for (const kind of ['tls', 'https', 'inspect', 'inspect tls'] as const) {
        const before = await scene.ask()
        const { got, switched } = await scene.visits(kind)
        assert.deepEqual(new Set(got), new Set(['ping']))
        // On a busy machine a handshake may come too late.
        assert.ok(switched >= VISITS / 2, `${kind}: ${String(switched)} were switched`)
        const seen = await scene.ask()
        const counts = seen.map((worker) => worker.counts[kind])
        assert.equal(sum(counts), VISITS)
        for (const [at, { accepts }] of seen.entries())
          assert.ok(accepts > (before[at]?.accepts ?? 0), `${kind}: ${counts.join()}`)
      }
    },
  )

  test(`${policy}: what workers reject is refused, before TLS, too`, { timeout: TIMEOUT_MS }, async (t) => {
    const scene = await Scene.begin(t, policy)
    await scene.visits('inspect')
    await scene.ask('reject')
    for (const kind of ['inspect', 'inspect tls'] as const) {
      const { got } = await scene.visits(kind)
      // Over TCP/IP, where a handshake came too late, rejection is a reset.
      assert.ok(got.includes('ECONNREFUSED'), got.join())
      for (const code of got) assert.match(code, /^(ECONNREFUSED|ECONNRESET|EPIPE)$/)
    }
    const seen = await scene.ask()
    assert.equal(sum(seen.map(({ counts }) => counts.asked)), 3 * VISITS)
    assert.equal(sum(seen.map(({ counts }) => counts.inspect + counts['inspect tls'])), VISITS)
  })

  test(`${policy}: workers judge peers that are not switched`, { timeout: TIMEOUT_MS }, async (t) => {
    const scene = await Scene.begin(t, policy, { SOCKSWITCH: 'off' })
    assert.deepEqual(new Set((await scene.visits('inspect tls')).got), new Set(['ping']))
    await scene.ask('reject')
    const { got } = await scene.visits('inspect tls')
    for (const code of got) assert.match(code, /^(ECONNRESET|EPIPE)$/)
    assert.equal(sum((await scene.ask()).map(({ counts }) => counts.asked)), 2 * VISITS)
  })
}

/** Peers that are stopped or killed in the middle of the handshake: nobody waits for them longer than TCP/IP would. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { beside, startApp } from '../support/app.ts'
import type { App } from '../support/app.ts'
import { eventually } from '../support/waiting.ts'
import { ACCEPTOR_STAGES } from './acceptor-stages.ts'
import { LIMIT_MS } from './channel.ts'
import { freshPort } from './hostile-peer.ts'
import { STAGES } from './stages.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** A client of the victim that goes as far as `stage` and stays there. */
async function clientAt(stage: string): Promise<{ readonly app: App; readonly from: number }> {
  const from = freshPort()
  const args = [stage, String(scene.port), String(from)]
  const { app } = await startApp(beside(import.meta.url, 'stages'), { switched: false, args })
  return { app, from }
}

/** Waits until `app` is stopped. */
async function stopped(app: App): Promise<void> {
  const state = (): string => /\) (\S)/.exec(readFileSync(`/proc/${app.pid}/stat`, 'utf8'))?.[1] ?? ''
  await eventually(
    () => state() === 'T',
    LIMIT_MS,
    () => `a program to stop (${state()})`,
  )
}

for (const stage of STAGES) {
  test(`kill -9 of a client at the stage '${stage}' leaves nothing`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      for (let round = 0; round < 3; round += 1) {
        const { app, from } = await clientAt(stage)
        app.kill('SIGKILL')
        await app.end()
        if (stage === 'open') await scene.victim.departure(from)
      }
    })
  })

  test(`SIGSTOP of a client at the stage '${stage}' stops nobody else`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      const { app } = await clientAt(stage)
      app.kill('SIGSTOP')
      await stopped(app)
      const key = await scene.bystander.connectSwitched(scene.port)
      await scene.bystander.echo(key, 10_000)
      await scene.bystander.ask('close', { key })
      await app.end()
    })
  })
}

test(
  'SIGSTOP of a server: a new connect goes on over TCP/IP in time, and comes back to the SAN afterwards',
  { timeout: TIMEOUT_MS },
  async () => {
    const { victim, bystander, port } = scene
    victim.app.kill('SIGSTOP')
    const start = performance.now()
    const { key, way } = await bystander.connect(port)
    const took = performance.now() - start
    victim.app.kill('SIGCONT')
    assert.equal(way, 'handshake-timeout')
    assert.ok(took < 2000, `it took ${took} ms`)
    await bystander.echo(key)
    await bystander.ask('close', { key })
    await bystander.ask('close', { key: await bystander.connectSwitched(port) })
  },
)

/** Lets the victim connect to an acceptor that stops itself at `stage`, and expects the connection to go that `way`. */
async function connectToAcceptor(stage: string, expected: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const args = [stage]
    const { app, ready } = await startApp(beside(import.meta.url, 'acceptor-stages'), {
      switched: false,
      args,
    })
    if (stage === 'rendezvous') await stopped(app)
    const { key, way } = await scene.victim.connect(ready['port'] as number)
    await stopped(app)
    const other = await scene.bystander.connectSwitched(scene.port)
    await scene.bystander.echo(other, 10_000)
    await scene.bystander.ask('close', { key: other })
    if (way === 'san') {
      await app.end()
      await scene.victim.ending(key)
    } else {
      await scene.victim.ask('close', { key })
      await app.end()
    }
    // On a busy machine the answer may come too late for the victim.
    if (way !== 'handshake-timeout' || expected === way || tries === 10) {
      assert.equal(way, expected)
      return
    }
  }
}

for (const stage of ACCEPTOR_STAGES) {
  const expected = stage === 'accepted' ? 'san' : 'handshake-timeout'
  test(
    `SIGSTOP of an acceptor at the stage '${stage}': ${expected}, and nobody else waits`,
    { timeout: TIMEOUT_MS },
    async () => {
      await scene.survives(async () => {
        await connectToAcceptor(stage, expected)
      })
    },
  )
}

/** Connects while the server is stopped, lets it go on, and closes everything. */
async function connectToStopped(count: number): Promise<void> {
  const { victim, bystander, port } = scene
  victim.app.kill('SIGSTOP')
  const made = await Promise.all(Array.from({ length: count }, () => bystander.connect(port)))
  victim.app.kill('SIGCONT')
  assert.deepEqual([...new Set(made.map(({ way }) => way))], ['handshake-timeout'])
  for (const { key } of made) await bystander.ask('close', { key })
  await victim.until(({ accepted }) => accepted === 1, 'the end of all connections but one')
}

test(
  'hundreds of connects to a stopped server leave nothing once it goes on',
  { timeout: TIMEOUT_MS },
  async () => {
    const { bystander } = scene
    // The slots of the link stay with it, and are used again.
    await connectToStopped(300)
    const before = bystander.census()
    await scene.survives(async () => {
      await connectToStopped(300)
    })
    await bystander.nothingLeft(before)
    assert.equal((await bystander.state()).shm.connections, 1)
  },
)

/** Victims as a test sees them: started, asked, attacked, counted. */
import assert from 'node:assert/strict'
import { beside, startApp } from '../support/app.ts'
import type { App, Message } from '../support/app.ts'
import { censusOf, leftovers } from '../support/census.ts'
import type { Census } from '../support/census.ts'
import { Mailbox, deferred, eventually, within } from '../support/waiting.ts'
import type { Deferred } from '../support/waiting.ts'
import { LIMIT_MS } from './channel.ts'
import { HOST, HostilePeer, endpoint, freshPort, honestRequest } from './hostile-peer.ts'
import { PHASE_CLOSED } from '../../src/providers/shm/layout.ts'
import type { HostileSession } from './hostile-peer.ts'

export interface VictimState {
  /** Connections that are open. */
  readonly accepted: number
  /** Connections that were ever accepted. */
  readonly arrivals: number
  readonly reasons: Readonly<Record<string, number>>
  readonly shm: { readonly links: number; readonly connections: number; readonly bytes: number }
}

/** A `victim.ts` and the conversation with it. */
export class Victim {
  readonly app: App
  readonly #replies = new Map<number, Deferred<Message>>()
  readonly #closed = new Map<string, Deferred<string>>()
  readonly #mail = new Mailbox()
  #asked = 0
  #keys = 0

  private constructor(app: App) {
    this.app = app
    app.onMessage = (message) => {
      this.#hear(message)
    }
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Victim> {
    const { app } = await startApp(beside(import.meta.url, 'victim'), {
      switched: true,
      env,
      execArgv: ['--expose-gc'],
    })
    return new Victim(app)
  }

  async ask(command: string, details: object = {}): Promise<Message> {
    this.#asked += 1
    const reply = deferred<Message>()
    this.#replies.set(this.#asked, reply)
    this.app.tell({ id: this.#asked, command, ...details })
    return within(reply.promise, LIMIT_MS, () => `the victim's answer to '${command}'\n${this.app.stderr}`)
  }

  async listen(host = HOST, details: object = {}): Promise<number> {
    const { port, error } = await this.ask('listen', { host, ...details })
    assert.equal(error, undefined)
    return port as number
  }

  /** A connection of the victim: its key, and the way it goes. */
  async connect(port: number, host = HOST): Promise<{ readonly key: string; readonly way: string }> {
    this.#keys += 1
    const key = `c${this.#keys}`
    this.#closed.set(key, deferred())
    const { way, error } = await this.ask('connect', { key, port, host })
    return { key, way: (way ?? error) as string }
  }

  /** A connection that must be switched; a busy machine gets further chances, for no answer is awaited for long. */
  async connectSwitched(port: number, host = HOST): Promise<string> {
    for (let tries = 1; ; tries += 1) {
      const { key, way } = await this.connect(port, host)
      if (way === 'san') return key
      assert.ok(way === 'handshake-timeout' && tries < 10, `a connection is not switched any more: ${way}`)
      await this.ask('close', { key })
    }
  }

  async echo(key: string, bytes = 100): Promise<void> {
    assert.equal((await this.ask('echo', { key, bytes }))['error'], undefined)
  }

  /** How the connection `key` ends: `end`, or the code of its error. */
  ending(key: string): Promise<string> {
    const closed = this.#closed.get(key)
    if (closed === undefined) throw new Error(`Cannot wait: there is no connection '${key}'`)
    return within(closed.promise, LIMIT_MS, () => `the end of connection '${key}'`)
  }

  /** The accepted connection of the peer at `port`: waits for its arrival. */
  async arrival(port: number): Promise<Message> {
    const arrived = this.#mail.take(`arrived ${port}`)
    return (await within(arrived, LIMIT_MS, `the arrival of a connection from ${port}`)) as Message
  }

  /** How the accepted connection from `port` ends: `end`, or the code of its error. */
  async departure(port: number): Promise<string> {
    return (await within(
      this.#mail.take(`left ${port}`),
      LIMIT_MS,
      `the end of the connection from ${port}`,
    )) as string
  }

  async state(): Promise<VictimState> {
    return (await this.ask('state')) as unknown as VictimState
  }

  /** Waits until the state is as `check` says. */
  async until(check: (state: VictimState) => boolean, what: string): Promise<VictimState> {
    const end = performance.now() + LIMIT_MS
    for (let state = await this.state(); ; state = await this.state()) {
      if (check(state)) return state
      assert.ok(performance.now() < end, `waited in vain for ${what}: ${JSON.stringify(state)}`)
    }
  }

  census(): Census {
    return censusOf(this.app.pid)
  }

  /** Waits until the victim holds no more than `before`. */
  async nothingLeft(before: Census): Promise<void> {
    const left = (): string[] => leftovers(before, this.census())
    await eventually(
      () => left().length === 0,
      LIMIT_MS,
      () => `what an attack left to go: ${left().join('; ')}`,
    )
  }

  async end(): Promise<void> {
    await this.app.end()
  }

  #hear(message: Message): void {
    const { id, closed, how, uncaught, arrived, left } = message
    if (uncaught !== undefined) {
      for (const reply of this.#replies.values())
        reply.reject(new Error(`The victim crashed: ${uncaught as string}`))
    } else if (arrived !== undefined) {
      this.#mail.put(`arrived ${arrived as number}`, message)
    } else if (left !== undefined) {
      this.#mail.put(`left ${left as number}`, how)
    } else if (closed !== undefined) {
      this.#closed.get(closed as string)?.resolve(how as string)
    } else {
      this.#replies.get(id as number)?.resolve(message)
      this.#replies.delete(id as number)
    }
  }
}

/** A victim that listens, and a bystander whose connection to it must not notice the attacks. */
export class Scene {
  readonly victim: Victim
  readonly bystander: Victim
  readonly port: number
  readonly #key: string

  private constructor(victim: Victim, bystander: Victim, port: number, key: string) {
    this.victim = victim
    this.bystander = bystander
    this.port = port
    this.#key = key
  }

  static async set(): Promise<Scene> {
    const [victim, bystander] = await Promise.all([Victim.start(), Victim.start()])
    const port = await victim.listen()
    const key = await bystander.connectSwitched(port)
    // Asking the kernel who listens takes a socket that is kept.
    await victim.ask('close', { key: await victim.connectSwitched(port) })
    const scene = new Scene(victim, bystander, port, key)
    // Memory that is made once and kept is made now.
    await bystander.echo(key, 200_000)
    await scene.#business()
    return scene
  }

  /** Attacks, and checks that it harms nobody: the bystander goes on, newcomers are served, nothing is left. */
  async survives(attack: () => Promise<void>): Promise<void> {
    const before = this.victim.census()
    await attack()
    await this.#business()
    await this.victim.nothingLeft(before)
  }

  async #business(): Promise<void> {
    await this.bystander.echo(this.#key, 10_000)
    const key = await this.bystander.connectSwitched(this.port)
    await this.bystander.echo(key, 3000)
    await this.bystander.ask('close', { key })
  }

  /** The peer goes; answers how the victim's connection from `port` ends. */
  async leave(peer: HostilePeer, port: number): Promise<string> {
    peer.close()
    return this.victim.departure(port)
  }

  /** A hostile peer of the victim with one connection, and the port that it claims to come from. */
  async hostile(): Promise<{
    readonly peer: HostilePeer
    readonly end: HostileSession
    readonly from: number
  }> {
    const peer = await HostilePeer.open(this.port)
    for (let generation = 1; ; generation += 1) {
      const from = freshPort()
      const end = await peer.connect(
        0,
        generation,
        honestRequest(this.port, { remote: endpoint(HOST, from) }),
      )
      if (await end.agreed()) {
        await this.victim.arrival(from)
        return { peer, end, from }
      }
      // We were too slow for the victim, on a busy machine: it has closed the slot, and so do we.
      peer.setState(0, generation, PHASE_CLOSED)
      peer.notify(0)
    }
  }

  async end(): Promise<void> {
    await Promise.all([this.victim.end(), this.bystander.end()])
  }
}

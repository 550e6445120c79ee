import { join } from 'node:path'
import { App } from '../../test/support/app.ts'
import type { ConnectionReport, Message } from '../../test/support/app.ts'
import { within } from '../../test/support/waiting.ts'

export interface ProgramRun {
  /** What the client saw: must read the same stock and switched. */
  readonly notes: readonly string[]
  readonly perSecond: number
  /** CPU time of the client for one operation. */
  readonly cpuMicroseconds: number
  readonly client: readonly ConnectionReport[]
}

/** Where the programs are, and the packages that they use. */
export interface Places {
  readonly apps: string
  readonly packages: string
}

const LIMIT_MS = 60_000
/** V8 has more to compile of the switch than of stock: what is not compiled yet says nothing about either. */
const WARM_MS = 2000
const LOAD_MS = 1000
/** Where a few percent are at stake, the two take turns this long and this often. */
const TURN_MS = 100
const TURNS = 20

/** Runs server and client once, both stock or both switched. */
export async function runPair(
  places: Places,
  names: { readonly server: string; readonly client: string },
  switched: boolean,
): Promise<ProgramRun> {
  const server = start(places, names.server, switched)
  try {
    const port = (await next(server, names.server))['port'] as number
    return await withClient(places, names.client, port, switched, async (client) => {
      await client.load(LOAD_MS)
      const run = await client.end()
      server.endInput()
      await within(server.exited, LIMIT_MS, `the end of ${names.server}`)
      return run
    })
  } finally {
    await server.end()
  }
}

/** Runs a stock and a switched client of a server that is not switched, in short turns, so that what drifts strikes both. */
export function runBeside(
  places: Places,
  name: string,
  port: number,
): Promise<readonly [stock: ProgramRun, switched: ProgramRun]> {
  return withClient(places, name, port, false, (stock) =>
    withClient(places, name, port, true, async (switched) => {
      for (let turn = 0; turn < TURNS; turn += 1) {
        for (const client of turn % 2 === 0 ? [stock, switched] : [switched, stock])
          await client.load(TURN_MS)
      }
      return [await stock.end(), await switched.end()]
    }),
  )
}

/** Starts a client, lets it see what it can see, warms it up, and kills what `use` leaves of it. */
async function withClient<T>(
  places: Places,
  name: string,
  port: number,
  switched: boolean,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(start(places, name, switched, String(port)), name)
  try {
    await client.check()
    return await use(client)
  } finally {
    await client.kill()
  }
}

type Load = Pick<ProgramRun, 'perSecond' | 'cpuMicroseconds'>

class Client {
  readonly #app: App
  readonly #name: string
  readonly #loads: Load[] = []
  #notes: readonly string[] = []

  constructor(app: App, name: string) {
    this.#app = app
    this.#name = name
  }

  async check(): Promise<void> {
    this.#notes = (await next(this.#app, this.#name))['notes'] as string[]
    await this.#put(WARM_MS)
  }

  async load(loadMs: number): Promise<void> {
    this.#loads.push(await this.#put(loadMs))
  }

  /** Ends it; what it has done is the mean of its loads. */
  async end(): Promise<ProgramRun> {
    this.#app.endInput()
    await within(this.#app.exited, LIMIT_MS, `the end of ${this.#name}`)
    return {
      notes: this.#notes,
      perSecond: mean(this.#loads.map(({ perSecond }) => perSecond)),
      cpuMicroseconds: mean(this.#loads.map(({ cpuMicroseconds }) => cpuMicroseconds)),
      client: this.#app.reports(),
    }
  }

  kill(): Promise<void> {
    return this.#app.end()
  }

  async #put(loadMs: number): Promise<Load> {
    this.#app.tell({ loadMs })
    return (await next(this.#app, this.#name)) as unknown as Load
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function start({ apps, packages }: Places, name: string, switched: boolean, ...args: string[]): App {
  return new App(join(apps, `${name}.mjs`), { switched, args: [packages, ...args] })
}

function next(app: App, name: string): Promise<Message> {
  return within(app.next(), LIMIT_MS, () => `an answer of ${name}\n${app.stderr}`)
}

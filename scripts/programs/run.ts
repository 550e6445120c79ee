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

/** Runs server and client once, both stock or both switched. */
export async function runPair(
  places: Places,
  names: { readonly server: string; readonly client: string },
  switched: boolean,
): Promise<ProgramRun> {
  const server = start(places, names.server, switched)
  try {
    const port = (await next(server, names.server))['port'] as number
    const client = await Client.checked(places, names.client, port, switched)
    const run = await client.load()
    server.endInput()
    await within(server.exited, LIMIT_MS, `the end of ${names.server}`)
    return run
  } finally {
    await server.end()
  }
}

/**
 * Runs a stock and a switched client of a server that is not switched. They put their load on it at the same time, so that
 * whatever else the machine does strikes both.
 */
export async function runBeside(
  places: Places,
  name: string,
  port: number,
): Promise<readonly [stock: ProgramRun, switched: ProgramRun]> {
  const stock = await Client.checked(places, name, port, false)
  const switched = await Client.checked(places, name, port, true)
  return Promise.all([stock.load(), switched.load()])
}

/** A client whose checks are done, ready to put load on its server. */
class Client {
  readonly #app: App
  readonly #name: string
  readonly #notes: readonly string[]

  private constructor(app: App, name: string, notes: readonly string[]) {
    this.#app = app
    this.#name = name
    this.#notes = notes
  }

  static async checked(places: Places, name: string, port: number, switched: boolean): Promise<Client> {
    const app = start(places, name, switched, String(port))
    return new Client(app, name, (await next(app, name))['notes'] as string[])
  }

  async load(): Promise<ProgramRun> {
    try {
      this.#app.tell({ go: true })
      const { perSecond, cpuMicroseconds } = await next(this.#app, this.#name)
      await within(this.#app.exited, LIMIT_MS, `the end of ${this.#name}`)
      return {
        notes: this.#notes,
        perSecond: perSecond as number,
        cpuMicroseconds: cpuMicroseconds as number,
        client: this.#app.reports(),
      }
    } finally {
      await this.#app.end()
    }
  }
}

function start({ apps, packages }: Places, name: string, switched: boolean, ...args: string[]): App {
  return new App(join(apps, `${name}.mjs`), { switched, args: [packages, ...args] })
}

function next(app: App, name: string): Promise<Message> {
  return within(app.next(), LIMIT_MS, () => `an answer of ${name}\n${app.stderr}`)
}

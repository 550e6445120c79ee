import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { REGISTER } from '../support/app.ts'
import type { Exit, Message } from '../support/app.ts'
import { Mailbox, deferred, within } from '../support/waiting.ts'

/** How long anything may take. */
export const LIMIT_MS = 15_000
/** On a busy machine the peer may be late, and the connect goes on over TCP/IP: that says nothing. */
export const ATTEMPTS = 5

export interface ProgramOptions {
  readonly args?: readonly string[]
  /** What comes before the script; `--require` of the switch unless said otherwise. */
  readonly execArgv?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What runs it, such as `ip netns exec NAME`; it takes the program's place. */
  readonly within?: readonly string[]
  /** Another user; needs root. */
  readonly uid?: number
  /** How many descriptors it may have. */
  readonly nofile?: number
  readonly cwd?: string
  /** Ends the program with this test. */
  readonly test?: TestContext
}

const living = new Set<Program>()
process.on('exit', () => {
  for (const program of living) program.kill()
})

/**
 * A Node program whose surroundings are part of the test: its user, its limits, its environment. It talks JSON lines; those
 * with an `id` answer {@link ask}, those with an `event` are waited for by {@link event}.
 */
export class Program {
  readonly exited: Promise<Exit>
  stdout = ''
  stderr = ''
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #mail = new Mailbox()
  #asked = 0

  constructor(script: string, options: ProgramOptions = {}) {
    const node = [
      ...(options.within ?? []),
      process.execPath,
      ...(options.execArgv ?? ['--require', REGISTER]),
      script,
      ...(options.args ?? []),
    ]
    const command =
      options.nofile === undefined
        ? node
        : ['sh', '-c', `ulimit -n ${options.nofile}; exec "$0" "$@"`, ...node]
    this.#child = spawn(command[0] as string, command.slice(1), {
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    })
    living.add(this)
    this.#child.stdin.on('error', () => undefined) // it may end before it has heard everything
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.stdout += `${line}\n`
      if (line.startsWith('{')) this.#hear(JSON.parse(line) as Message)
    })
    const over = deferred<Exit>()
    this.#child.on('error', (error) => {
      this.stderr += error.message
      over.resolve({ code: null, signal: null })
    })
    this.#child.on('close', (code, signal) => {
      living.delete(this)
      over.resolve({ code, signal })
    })
    this.exited = over.promise
    options.test?.after(() => this.end())
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  async ask(command: string, details: object = {}): Promise<Message> {
    this.#asked += 1
    const id = this.#asked
    this.#child.stdin.write(`${JSON.stringify({ id, command, ...details })}\n`)
    return this.#or(this.#mail.take(`id ${id}`), `the answer to '${command}'`)
  }

  /** Tells an actor to connect; again, where a busy machine made the handshake late, which says nothing. */
  async connect(key: string, port: unknown): Promise<Message> {
    for (let left = ATTEMPTS; ; left -= 1) {
      const answer = await this.ask('connect', { key, options: { port } })
      if (answer['way'] !== 'handshake-timeout' || left === 1) return answer
      await this.ask('close', { key })
    }
  }

  /** The next message that says it is about `event`. */
  event(event: string): Promise<Message> {
    return this.#or(this.#mail.take(`event ${event}`), `the event '${event}'`)
  }

  /** How it ends. */
  exit(): Promise<Exit> {
    return within(this.exited, LIMIT_MS, () => `the end of the program\n${this.stdout}${this.stderr}`)
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }

  async end(): Promise<void> {
    this.kill()
    await this.exited
  }

  #hear(message: Message): void {
    const { id, event } = message
    if (id !== undefined) this.#mail.put(`id ${id as number}`, message)
    else if (event !== undefined) this.#mail.put(`event ${event as string}`, message)
  }

  async #or(wanted: Promise<unknown>, what: string): Promise<Message> {
    const gone = this.exited.then((exit) => {
      throw new Error(`The program ended (${JSON.stringify(exit)}) instead of ${what}\n${this.stderr}`)
    })
    gone.catch(() => undefined)
    const said = Promise.race([wanted, gone])
    return (await within(said, LIMIT_MS, () => `${what}\n${this.stdout}${this.stderr}`)) as Message
  }
}

/** Two programs that `obey` orders: a listener, and one that is connected to it over shared memory, as `here` and `there`. */
export async function pairOverShm(
  script: string,
  test: TestContext,
): Promise<readonly [server: Program, client: Program, port: unknown]> {
  const server = new Program(script, { test, execArgv: [] })
  const client = new Program(script, { test, execArgv: [] })
  const { port } = await server.ask('listen')
  for (let attempt = 1; ; attempt += 1) {
    const accepting = server.ask('accept', { key: 'there' })
    const connected = await client.ask('connect', { key: 'here', port })
    const accepted = await accepting
    if (connected['reason'] === 'handshake-timeout' && attempt < ATTEMPTS) {
      await client.ask('close', { key: 'here' })
      await server.ask('close', { key: 'there' })
      continue
    }
    assert.equal(connected['provider'], 'shm', JSON.stringify(connected))
    assert.equal(accepted['provider'], 'shm', JSON.stringify(accepted))
    return [server, client, port]
  }
}

/** Counts by reason, without the attempts that a busy machine made late. */
export function withoutLate(reasons: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(reasons).filter(([reason]) => reason !== 'handshake-timeout'))
}

/** What a program does not get from whoever runs the test. */
export function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(NODE_OPTIONS|NODE_TEST_CONTEXT|SOCKSWITCH.*)$/.test(name),
    ),
  )
}

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { Fault } from '../../src/providers/wrap/index.ts'
import { Mailbox } from '../support/waiting.ts'
import type { Report } from './audit.ts'
import type { Line, Role } from './party.ts'

const PROGRAM = fileURLToPath(import.meta.resolve(`./partner-process${import.meta.url.slice(-3)}`))

/** What a partner is told to play. */
export interface Part {
  readonly title: string
  readonly role: Role
  readonly faults?: readonly Fault[]
  /** Its sockets are watched, and it reports. */
  readonly audited?: boolean
}

/** What the two processes say to each other. */
export type Word =
  | { readonly is: 'part'; readonly part: Part }
  | { readonly is: 'line'; readonly value: unknown }
  /** It is to end, whatever it waits for; in an audit, when nothing waits for its peer any more. */
  | { readonly is: 'stop' }
  /** The part is over; how it failed, if it did. */
  | { readonly is: 'over'; readonly failure?: string; readonly report?: Report }

/** So long it may take to end when it is told to; longer than anything that an audit waits for. */
const STOP_MS = 30_000

/** A process that plays the other role, one part after the other. */
export class Partner {
  readonly #child: ChildProcess
  #box = new Mailbox()
  /** It has died of its part, as it was to, or had to be killed. */
  isGone = false

  constructor() {
    this.#child = fork(PROGRAM, { serialization: 'advanced' })
    this.#child.on('message', (word: Word) => {
      this.#box.put(word.is, word.is === 'line' ? word.value : word)
    })
    this.#child.on('exit', (code, signal) => {
      this.isGone = true
      const failure = signal === 'SIGKILL' ? undefined : `the partner has ended: ${String(code ?? signal)}`
      this.#box.put('over', { is: 'over', ...(failure !== undefined && { failure }) })
    })
  }

  readonly line: Line = {
    tell: (value) => {
      this.#say({ is: 'line', value })
    },
    hear: async () => await this.#box.take('line'),
  }

  /** Resolves when the part is over; rejects when it failed. */
  async play(part: Part, over: AbortSignal): Promise<void> {
    const { failure } = await this.perform(part, over)
    if (failure !== undefined) throw new Error(`The ${part.role} says: ${failure}`)
  }

  /** Resolves when the part is over, however it went. */
  async perform(part: Part, over: AbortSignal): Promise<Extract<Word, { is: 'over' }>> {
    this.#box = new Mailbox()
    this.#say({ is: 'part', part })
    let limit: NodeJS.Timeout | undefined
    const stop = (): void => {
      this.#say({ is: 'stop' })
      limit = setTimeout(() => {
        const failure = `it was told to stop, and had not ${STOP_MS} ms later: ${part.title}`
        this.#box.put('over', { is: 'over', failure })
        this.isGone = true
        this.#child.kill('SIGKILL')
      }, STOP_MS)
    }
    over.addEventListener('abort', stop)
    const word = (await this.#box.take('over')) as Extract<Word, { is: 'over' }>
    over.removeEventListener('abort', stop)
    clearTimeout(limit)
    return word
  }

  #say(word: Word): void {
    // One that was killed a moment ago is heard of by its exit.
    if (!this.isGone) this.#child.send(word, () => undefined)
  }

  async end(): Promise<void> {
    if (this.isGone) return
    const exit = once(this.#child, 'exit')
    this.#child.disconnect()
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    await exit
    clearTimeout(limit)
  }
}

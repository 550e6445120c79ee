import { clearLine, cursorTo } from 'node:readline'

/** Says on stderr what is going on: one line that changes on a terminal, a line per step elsewhere. */
export class Progress {
  readonly #total: number
  readonly #startMs = performance.now()
  #done = 0
  #last = ''

  constructor(total: number) {
    this.#total = total
  }

  /** @param step What begins now; `heading` is what a log, which has no use for every run, shows of it. */
  next(heading: string, step: string): void {
    this.#done += 1
    const seconds = Math.round((performance.now() - this.#startMs) / 1e3)
    if (process.stderr.isTTY) {
      const line = `[${this.#done}/${this.#total}, ${seconds} s] ${heading} - ${step}`
      clearLine(process.stderr, 0)
      cursorTo(process.stderr, 0)
      process.stderr.write(line.slice(0, process.stderr.columns - 1))
    } else if (heading !== this.#last) {
      process.stderr.write(`[${this.#done}/${this.#total}, ${seconds} s] ${heading}\n`)
    }
    this.#last = heading
  }

  /** Writes a line that stays. */
  note(text: string): void {
    this.end()
    process.stderr.write(`${text}\n`)
  }

  end(): void {
    if (!process.stderr.isTTY) return
    clearLine(process.stderr, 0)
    cursorTo(process.stderr, 0)
  }
}

export interface FailedTest {
  readonly name: string
  /** The first lines of what TAP says of it. */
  readonly why: readonly string[]
}

const RESULT = /^( *)(not )?ok \d+ - (.*?)(?: # (SKIP|TODO).*)?$/i
const WHY_LINES = 12

/** Counts the tests in the TAP of several files; a test that holds others counts through those only. */
export class TapReader {
  passed = 0
  skipped = 0
  seconds = 0
  readonly failed: FailedTest[] = []

  /** @returns what takes the lines of `file`. */
  file(file: string): (line: string) => void {
    let why: string[] | undefined
    let deepest = 0
    return (line) => {
      const result = RESULT.exec(line)
      if (result === null) {
        if (why !== undefined && why.length < WHY_LINES && line.trim() !== '') why.push(line.trim())
        return
      }
      why = undefined
      const [, indent = '', not, name = '', note] = result
      // What holds others comes after them, less indented.
      const holds = indent.length < deepest
      deepest = indent.length
      if (holds) return
      if (note?.toUpperCase() === 'SKIP') this.skipped += 1
      else if (not === undefined) this.passed += 1
      else this.failed.push({ name: `${file}: ${name}`, why: (why = []) })
    }
  }

  /** Takes the end of a file's process: one that fails without a failed test has failed itself. */
  ended(file: string, code: unknown): void {
    if (code === 0 || this.failed.some(({ name }) => name.startsWith(`${file}:`))) return
    this.failed.push({ name: `${file}: ended with ${String(code)}`, why: [] })
  }
}

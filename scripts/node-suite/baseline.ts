import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CACHE } from './node-binary.ts'
import type { NodeBinary } from './node-binary.ts'
import { runAll } from './run-all.ts'
import type { Verdict, Verdicts } from './run-all.ts'
import type { Setting } from './run-test.ts'
import { readTest } from './test-files.ts'

/** A stock result is good as long as the test reads the same. */
interface Entry {
  readonly digest: string
  readonly verdict: Verdict
}

type Entries = Record<string, Entry>

/** What the tests do on stock Node: remembered per binary, suite and environment, so that it is found out once. */
export class Baseline {
  readonly #path: string
  readonly #setting: Setting
  readonly #jobs: number

  constructor(node: NodeBinary, jobs: number, setting: Setting) {
    const key = JSON.stringify([node.version, node.bytes, setting.suite, setting.env])
    const name = `${node.version}-${sha1(key).slice(0, 12)}.json`
    this.#path = join(CACHE, 'node-suite', name)
    this.#setting = setting
    this.#jobs = jobs
  }

  /** Runs those of `files` that the cache does not know, and answers for all of them. */
  async of(files: readonly string[]): Promise<Verdicts> {
    const digests = new Map(files.map((file) => [file, sha1(readTest(this.#setting.suite, file))]))
    const known = this.#read()
    const missing = files.filter((file) => known[file]?.digest !== digests.get(file))
    if (missing.length > 0) {
      const fresh = await runAll(missing, this.#jobs, this.#setting)
      this.#merge([...fresh].map(([file, verdict]) => [file, { digest: digests.get(file) ?? '', verdict }]))
    }
    const entries = this.#read()
    return new Map(files.flatMap((file) => (entries[file] ? [[file, entries[file].verdict]] : [])))
  }

  #read(): Entries {
    return existsSync(this.#path) ? (JSON.parse(readFileSync(this.#path, 'utf8')) as Entries) : {}
  }

  /** Reads again before it writes, and writes whole, because another run may use the same cache. */
  #merge(fresh: readonly (readonly [string, Entry])[]): void {
    mkdirSync(dirname(this.#path), { recursive: true })
    const draft = `${this.#path}.${process.pid}`
    writeFileSync(draft, JSON.stringify({ ...this.#read(), ...Object.fromEntries(fresh) }))
    renameSync(draft, this.#path)
  }
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

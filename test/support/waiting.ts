import { numberFromEnv } from './random.ts'

/** So many times longer is waited for what ought to come: on machines that are emulated. */
export const PATIENCE = numberFromEnv('TEST_PATIENCE', 1)

/** What did not happen in time. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

/** Settles as `promise` does, or rejects when that takes longer than `limitMs`. `what` completes "Waited for ...". */
export async function within<T>(
  promise: Promise<T>,
  limitMs: number,
  what: string | (() => string),
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const subject = typeof what === 'string' ? what : what()
      reject(new DeadlineError(`Waited ${limitMs * PATIENCE} ms in vain for ${subject}`))
    }, limitMs * PATIENCE)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits until `check` answers true, looking after each turn of the event loop: for states of the kernel, such as /proc,
 * that no event announces. Whoever can wait for an event does that instead.
 */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  limitMs: number,
  what: () => string,
): Promise<void> {
  const end = performance.now() + limitMs * PATIENCE
  while (!(await check())) {
    if (performance.now() > end)
      throw new DeadlineError(`Waited ${limitMs * PATIENCE} ms in vain for ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(reason: Error): void
}

export function deferred<T = undefined>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (reason: Error) => void
  const promise = new Promise<T>((onValue, onReason) => {
    resolve = onValue
    reject = onReason
  })
  return { promise, resolve, reject }
}

/** Named messages that wait for whoever hears them, in order of arrival. */
export class Mailbox {
  readonly #waiting = new Map<string, unknown[]>()
  readonly #hearers = new Map<string, ((value: unknown) => void)[]>()

  put(name: string, value: unknown): void {
    const hearer = this.#hearers.get(name)?.shift()
    if (hearer !== undefined) hearer(value)
    else this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), value])
  }

  take(name: string): Promise<unknown> {
    const values = this.#waiting.get(name) ?? []
    if (values.length > 0) return Promise.resolve(values.shift())
    return new Promise((resolve) => {
      this.#hearers.set(name, [...(this.#hearers.get(name) ?? []), resolve])
    })
  }
}

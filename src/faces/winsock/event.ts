import type { EventObject } from '../../spi/index.ts'

/**
 * A manual-reset event that can be waited for. Whoever waits goes on in a turn of its own.
 *
 * @source WSACreateEvent, WSASetEvent, WSAResetEvent, WSAWaitForMultipleEvents
 */
export class WsaEvent implements EventObject {
  #set = false
  readonly #waiting = new Set<() => void>()

  get isSet(): boolean {
    return this.#set
  }

  set(): void {
    this.#set = true
    for (const wake of [...this.#waiting]) wake()
  }

  reset(): void {
    this.#set = false
  }

  /** Resolves once it is set; rejects with the signal's reason when that comes first. */
  async wait(signal?: AbortSignal): Promise<void> {
    await waitForMultipleEvents([this], { signal })
  }

  /** Calls `wake` when the event is set; at once, where it is. Returns what takes that back. */
  watch(wake: () => void): () => void {
    if (this.#set) wake()
    this.#waiting.add(wake)
    return () => {
      this.#waiting.delete(wake)
    }
  }
}

/**
 * Waits until one of `events` is set, or all of them are at once.
 *
 * @returns the index of the first that is set; 0 for all of them.
 */
export async function waitForMultipleEvents(
  events: readonly WsaEvent[],
  options: { readonly all?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<number> {
  const { all = false, signal } = options
  return await new Promise<number>((resolve, reject) => {
    signal?.throwIfAborted()
    const unwatch: (() => void)[] = []
    const over = (): void => {
      for (const stop of unwatch) stop()
      signal?.removeEventListener('abort', aborted)
    }
    const aborted = (): void => {
      over()
      reject(reasonOf(signal))
    }
    const look = (): void => {
      const at = events.findIndex((event) => event.isSet)
      if (all ? !events.every((event) => event.isSet) : at < 0) return
      over()
      resolve(all ? 0 : at)
    }
    for (const event of events) unwatch.push(event.watch(look))
    signal?.addEventListener('abort', aborted)
    look()
  })
}

/** Why a signal was aborted, as an error. */
export function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  return reason instanceof Error
    ? reason
    : new Error('Cannot go on waiting: it was aborted', { cause: reason })
}

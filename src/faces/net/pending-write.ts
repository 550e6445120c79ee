import type { AsyncResource } from 'node:async_hooks'
import type { Progress } from '../../base/chunks.ts'
import { invariant } from '../../base/invariant.ts'

/** Told how a write ended: 0, or one of libuv's numbers. */
export type WriteDone = (status: number) => void

/** One write of the application that did not fit yet, and those that wait behind it. */
export interface PendingWrite extends Progress {
  readonly chunks: Uint8Array[]
  left: number
  readonly done: WriteDone
  /** The context of the write, once it has to wait. */
  resource: AsyncResource | undefined
  next: PendingWrite | undefined
}

/** What is left of a write that somebody else is to finish. */
export interface DetachedWrite {
  readonly rest: Uint8Array[]
  /** The end of the stream follows it. */
  readonly isEnd: boolean
  readonly done: WriteDone
}

/** Puts `write` behind those that wait; returns the first. */
export function append(first: PendingWrite | undefined, write: PendingWrite): PendingWrite {
  if (first === undefined) return write
  let last = first
  while (last.next !== undefined) last = last.next
  last.next = write
  return first
}

/** Tells whoever wrote, in the context of the write. */
export function finish({ done, resource }: PendingWrite, status: number): void {
  invariant(resource, 'a write that waits has a context')
  resource.runInAsyncScope(done, undefined, status)
  resource.emitDestroy()
}

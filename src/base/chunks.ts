/** How many bytes `chunks` hold, from byte `offset` of the one at `index` on. */
export function bytesFrom(chunks: readonly Uint8Array[], index = 0, offset = 0): number {
  let bytes = -offset
  for (let i = index; i < chunks.length; i++) bytes += chunks[i]?.length ?? 0
  return bytes
}

/** How far a write of `chunks` has come. */
export interface Progress {
  readonly chunks: readonly Uint8Array[]
  /** The chunk, and the byte in it, that comes next. */
  index: number
  offset: number
}

/** Notes that `bytes` more of the write are on their way. */
export function advance(progress: Progress, bytes: number): void {
  const { chunks } = progress
  progress.offset += bytes
  while (progress.index < chunks.length) {
    const { length } = chunks[progress.index] as Uint8Array
    if (progress.offset < length) return
    progress.offset -= length
    progress.index += 1
  }
}

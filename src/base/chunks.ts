/** How many bytes `chunks` hold, from byte `offset` of the one at `index` on. */
export function bytesFrom(chunks: readonly Uint8Array[], index: number, offset: number): number {
  let bytes = -offset
  for (let i = index; i < chunks.length; i++) bytes += chunks[i]?.length ?? 0
  return bytes
}

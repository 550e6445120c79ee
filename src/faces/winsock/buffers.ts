/** One buffer, or several that are sent or filled as if they were one (WSABUF). */
export type Buffers = Uint8Array | readonly Uint8Array[]

export function listOf(buffers: Buffers): readonly Uint8Array[] {
  return buffers instanceof Uint8Array ? [buffers] : buffers
}

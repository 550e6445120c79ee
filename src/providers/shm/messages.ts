import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import { LAYOUT_VERSION, LINK_MAGIC } from './layout.ts'

/**
 * What two ends of a rendezvous say to each other over the channel, besides the descriptors they pass. Fixed sizes,
 * little endian; anything else is refused whole.
 */
export type LinkMessage =
  /** Opener: my segment 0, doorbell and status page come with it. */
  | { readonly kind: 'open'; readonly segmentBytes: number; readonly name: string }
  /** Acceptor: mine, likewise. */
  | { readonly kind: 'welcome'; readonly segmentBytes: number }
  /** Acceptor: no, because of this WSA code; the channel closes. */
  | { readonly kind: 'reject'; readonly code: number }
  /** Either: a further segment comes with it; numbers count up from 1 on each side. */
  | { readonly kind: 'segment'; readonly index: number; readonly use: SegmentUse; readonly bytes: number }

export type SegmentUse = 'slots' | 'rings'

const KINDS = ['open', 'welcome', 'reject', 'segment'] as const
const USES: readonly SegmentUse[] = ['slots', 'rings']
const BYTES = 24
const MAX_NAME_BYTES = 96

export function encodeMessage(message: LinkMessage): Uint8Array {
  const name = message.kind === 'open' ? Buffer.from(message.name) : Buffer.alloc(0)
  const bytes = new Uint8Array(BYTES + name.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, LINK_MAGIC, true)
  view.setUint16(4, LAYOUT_VERSION, true)
  view.setUint16(6, KINDS.indexOf(message.kind), true)
  switch (message.kind) {
    case 'open':
    case 'welcome':
      view.setUint32(8, message.segmentBytes, true)
      break
    case 'reject':
      view.setUint32(8, message.code, true)
      break
    case 'segment':
      view.setUint32(8, message.bytes, true)
      view.setUint32(12, message.index, true)
      view.setUint32(16, USES.indexOf(message.use), true)
      break
  }
  bytes.set(name, BYTES)
  return bytes
}

/** The message, or why it is none: another version of the layout, or nothing this program ever sends. */
export function decodeMessage(bytes: Uint8Array): LinkMessage | 'version' | 'malformed' {
  if (bytes.length < BYTES || bytes.length > BYTES + MAX_NAME_BYTES) return 'malformed'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== LINK_MAGIC) return 'malformed'
  if (view.getUint16(4, true) !== LAYOUT_VERSION) return 'version'
  const kind = KINDS[view.getUint16(6, true)]
  if (kind !== 'open' && bytes.length !== BYTES) return 'malformed'
  switch (kind) {
    case 'open':
      return { kind, segmentBytes: view.getUint32(8, true), name: Buffer.from(bytes.subarray(BYTES)).toString() }
    case 'welcome':
      return { kind, segmentBytes: view.getUint32(8, true) }
    case 'reject':
      return { kind, code: view.getUint32(8, true) }
    case 'segment': {
      const use = USES[view.getUint32(16, true)]
      if (use === undefined) return 'malformed'
      return { kind, bytes: view.getUint32(8, true), index: view.getUint32(12, true), use }
    }
    default:
      return 'malformed'
  }
}

/** What a peer may say when it rejects; anything else is noise. */
export function rejectionCode(code: number): WsaCode {
  const allowed: readonly number[] = [
    WSA.WSAEACCES,
    WSA.WSAVERNOTSUPPORTED,
    WSA.WSAENOBUFS,
    WSA.WSAEMFILE,
    WSA.WSAEPROCLIM,
    WSA.WSAEFAULT,
  ]
  return allowed.includes(code) ? (code as WsaCode) : WSA.WSAENETDOWN
}

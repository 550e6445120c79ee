import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import { LAYOUT_VERSION, LINK_MAGIC } from './layout.ts'

/**
 * What two ends of a rendezvous say to each other over the channel, besides the descriptors they pass. Fixed sizes,
 * little endian; anything else is refused whole.
 */
export type LinkMessage =
  /** Opener: my segment 0, doorbell and status page come with it. `member`: of a group this one, if it is still there. */
  | { readonly kind: 'open'; readonly segmentBytes: number; readonly name: string; readonly member?: number }
  /** Acceptor: mine, likewise. */
  | { readonly kind: 'welcome'; readonly segmentBytes: number }
  /** Acceptor: no, because of this WSA code; the channel closes. */
  | { readonly kind: 'reject'; readonly code: number }
  /** Either: a further segment comes with it; numbers count up from 1 on each side. */
  | { readonly kind: 'segment'; readonly index: number; readonly use: SegmentUse; readonly bytes: number }
  /** A listener wants to be a member of the group. `descriptor`: which of its descriptors the TCP listener is, if any. */
  | { readonly kind: 'join'; readonly name: string; readonly descriptor?: number }
  /** Head to member: an opener's channel, segment 0, doorbell and status page come with it. */
  | { readonly kind: 'forward'; readonly segmentBytes: number }
  /** Head to member, member to opener: which member this is about, and which there are. `processId` is the speaker. */
  | {
      readonly kind: 'group'
      readonly member: number
      readonly processId: number
      readonly members: readonly number[]
    }

export type SegmentUse = 'slots' | 'rings'

/** Members of one group, numbered from 0. */
export const MAX_MEMBERS = 256

const KINDS = ['open', 'welcome', 'reject', 'segment', 'join', 'forward', 'group'] as const
const USES: readonly SegmentUse[] = ['slots', 'rings']
const BYTES = 24
const MAX_NAME_BYTES = 96
const MEMBERS_BYTES = MAX_MEMBERS / 8

export function encodeMessage(message: LinkMessage): Uint8Array {
  const tail = tailOf(message)
  const bytes = new Uint8Array(BYTES + tail.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, LINK_MAGIC, true)
  view.setUint16(4, LAYOUT_VERSION, true)
  view.setUint16(6, KINDS.indexOf(message.kind), true)
  switch (message.kind) {
    case 'open':
      view.setUint32(8, message.segmentBytes, true)
      view.setUint32(12, (message.member ?? -1) + 1, true)
      break
    case 'welcome':
    case 'forward':
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
    case 'join':
      view.setUint32(8, (message.descriptor ?? -1) + 1, true)
      break
    case 'group':
      view.setUint32(8, message.member, true)
      view.setUint32(12, message.processId, true)
      break
  }
  bytes.set(tail, BYTES)
  return bytes
}

function tailOf(message: LinkMessage): Uint8Array {
  if (message.kind === 'open' || message.kind === 'join') return Buffer.from(message.name)
  if (message.kind !== 'group') return new Uint8Array(0)
  const set = new Uint8Array(MEMBERS_BYTES)
  for (const member of message.members) set[member >> 3] = (set[member >> 3] ?? 0) | (1 << (member & 7))
  return set
}

/** The message, or why it is none: another version of the layout, or nothing this program ever sends. */
export function decodeMessage(bytes: Uint8Array): LinkMessage | 'version' | 'malformed' {
  if (bytes.length < BYTES || bytes.length > BYTES + MAX_NAME_BYTES) return 'malformed'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== LINK_MAGIC) return 'malformed'
  if (view.getUint16(4, true) !== LAYOUT_VERSION) return 'version'
  const kind = KINDS[view.getUint16(6, true)]
  const tail = bytes.subarray(BYTES)
  const named = kind === 'open' || kind === 'join'
  if (!named && tail.length !== (kind === 'group' ? MEMBERS_BYTES : 0)) return 'malformed'
  switch (kind) {
    case 'open':
    case 'join': {
      const name = Buffer.from(tail).toString()
      if (kind === 'open') {
        const member = view.getUint32(12, true)
        const segmentBytes = view.getUint32(8, true)
        return { kind, segmentBytes, name, ...(member > 0 && { member: member - 1 }) }
      }
      const descriptor = view.getUint32(8, true)
      return { kind, name, ...(descriptor > 0 && { descriptor: descriptor - 1 }) }
    }
    case 'welcome':
    case 'forward':
      return { kind, segmentBytes: view.getUint32(8, true) }
    case 'reject':
      return { kind, code: view.getUint32(8, true) }
    case 'segment': {
      const use = USES[view.getUint32(16, true)]
      if (use === undefined) return 'malformed'
      return { kind, bytes: view.getUint32(8, true), index: view.getUint32(12, true), use }
    }
    case 'group': {
      const member = view.getUint32(8, true)
      const members = membersIn(tail)
      const processId = view.getUint32(12, true)
      return members.includes(member) ? { kind, member, processId, members } : 'malformed'
    }
    default:
      return 'malformed'
  }
}

function membersIn(set: Uint8Array): number[] {
  const members: number[] = []
  for (let member = 0; member < MAX_MEMBERS; member++) {
    if (((set[member >> 3] ?? 0) & (1 << (member & 7))) !== 0) members.push(member)
  }
  return members
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
    WSA.WSAETIMEDOUT,
  ]
  return allowed.includes(code) ? (code as WsaCode) : WSA.WSAENETDOWN
}

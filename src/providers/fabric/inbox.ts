import { MAX_CONNECT_DATA_BYTES } from '../../spi/index.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import * as messages from './messages.ts'
import type { Place } from './reads.ts'
import type { Slot } from './slot.ts'

/**
 * Takes the message of `length` bytes at byte `at` of the link's memory. The peer does not change it any more: a receive that
 * has completed is ours until it is posted again.
 *
 * @returns false when it is nothing that the peer may say now: the link is to be ended.
 */
export function takeMessage(link: Link, at: number, length: number): boolean {
  const { bytes } = link
  const count = bytes[at + 1] ?? 0
  const id = (bytes[at + 4] ?? 0) | ((bytes[at + 5] ?? 0) << 8)
  const from = at + messages.HEADER_BYTES
  const end = at + length
  switch (bytes[at]) {
    case messages.NOTHING:
      return true
    case messages.PING:
      link.pinged()
      return true
    case messages.GOODBYE:
      link.left()
      return true
    case messages.REQUEST: {
      const request = messages.decodeRequest(bytes.slice(from, end))
      return request !== undefined && link.asked(id, request)
    }
    case messages.END: {
      const slot = link.slot(id)
      if (slot !== undefined) slot.peerIsThrough()
      else link.withdrawn(id)
      return true
    }
    default: {
      const slot = link.slot(id)
      return slot !== undefined && takeOfSlot(slot, bytes[at] ?? 0, count, from, end)
    }
  }
}

function takeOfSlot(slot: Slot, kind: number, count: number, from: number, end: number): boolean {
  const { bytes } = slot.link
  switch (kind) {
    case messages.UPDATE:
      return takeUpdate(slot, count, from, end)
    case messages.REGISTER:
      return slot.registered(word(bytes, from), word(bytes, from + 4))
    case messages.DEREGISTER:
      return slot.deregistered(word(bytes, from))
    case messages.EXPOSE:
      return (
        end - from >= messages.EXPOSE_BYTES && slot.exposed.add(word(bytes, from), place(bytes, from + 4))
      )
    case messages.CONCEAL:
      return slot.exposed.remove(word(bytes, from))
    default:
      return takeAnswer(slot, kind, bytes, from, end)
  }
}

function takeAnswer(slot: Slot, kind: number, bytes: Uint8Array, from: number, end: number): boolean {
  switch (kind) {
    case messages.ACCEPTED: {
      const calleeData = bytes.slice(from, Math.min(end, from + MAX_CONNECT_DATA_BYTES))
      return slot.answered({ kind: 'accepted', calleeData })
    }
    case messages.JUDGING:
      return slot.answered({ kind: 'judging' })
    case messages.REFUSED:
      return slot.answered({ kind: 'refused', code: messages.refusalCode(word(bytes, from)) })
    default:
      return false
  }
}

// All ranges first: whoever is told, or looks by itself, sees the whole of it.
function takeUpdate(slot: Slot, count: number, from: number, end: number): boolean {
  const { bytes } = slot.link
  let at = from
  for (let left = count & ~messages.SIGNAL; left > 0; left--) {
    const start = word(bytes, at)
    const length = word(bytes, at + 4)
    at += messages.RANGE_BYTES
    // Also where not even the two numbers were there, or where `start` is outside: no length is below 0.
    if (length > end - at || length > layout.ARENA_BYTES - start) return false
    bytes.copyWithin(layout.MIRROR_AT + start, at, at + length)
    at += length
  }
  if ((count & messages.SIGNAL) !== 0) slot.holder.signalled()
  return true
}

function place(bytes: Uint8Array, at: number): Place {
  return { bytes: word(bytes, at), address: long(bytes, at + 4), key: long(bytes, at + 12) }
}

function long(bytes: Uint8Array, at: number): bigint {
  return BigInt(word(bytes, at)) | (BigInt(word(bytes, at + 4)) << 32n)
}

function word(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)
  return (low | ((bytes[at + 3] ?? 0) << 24)) >>> 0
}

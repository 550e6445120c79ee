/** A link and its connections without a fabric: what they tell it is noted, and what it tells them the test says. */
import assert from 'node:assert/strict'

import { Quota } from '../../src/base/quota.ts'
import type { Fabric } from '../../src/native/fabric.ts'
import type { Turns } from '../../src/native/turns.ts'
import type { Incoming } from '../../src/providers/fabric/incoming.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import { DEFAULT_LIMITS } from '../../src/providers/fabric/limits.ts'
import { Link } from '../../src/providers/fabric/link.ts'
import type { LinkHost } from '../../src/providers/fabric/link.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { FakeClock } from '../switch/fake-clock.ts'

export const LOCAL = { family: 'IPv4', address: '127.0.0.1', port: 4001 } as const
/** One that a peer at {@link LOCAL} may make. */
export const REQUEST = messages.encodeRequest({ remote: LOCAL, local: LOCAL, callerData: new Uint8Array() })
/** Of the further regions. */
export const FIRST_PAGE = layout.REGIONS_BYTES / layout.PAGE_BYTES

/** An owner that hears everything and does nothing. */
export const OWNER = {
  accepted: () => undefined,
  judging: () => undefined,
  refused: () => undefined,
  signalled: () => undefined,
  ended: () => undefined,
  completed: () => undefined,
}

/** A link of which a test hears what it tells the fabric, and to which it says what the peer says. */
export function standing(role: Link['role']) {
  const memory = new ArrayBuffer(layout.MIRROR_AT + layout.ARENA_BYTES)
  const sent: number[] = []
  /** What the fabric is to do with the link itself. */
  const calls: string[] = []
  const reads: { readonly address: bigint; readonly key: bigint; readonly bytes: number }[] = []
  const fabric: Partial<Fabric> = {
    send: (_link, message) => {
      sent.push(new Uint8Array(memory)[layout.SENT_AT + message * layout.MESSAGE_BYTES] ?? -1)
      return 0
    },
    start: () => 0,
    receive: () => (calls.push('receive'), 0),
    read: (_link, target, address, key) => reads.push({ address, key, bytes: target.length }),
    close: () => calls.push('close'),
    release: () => calls.push('release'),
  }
  const asked: Incoming[] = []
  const jobs: (() => void)[] = []
  const clock = new FakeClock()
  const host: LinkHost = {
    fabric: fabric as Fabric,
    turns: {
      schedule: (job: () => void) => jobs.push(job),
      watch: () => ({ close: () => calls.push('unwatch') }),
    } as unknown as Turns,
    limits: DEFAULT_LIMITS,
    clock,
    connections: new Quota(9),
    requested: (incoming) => asked.push(incoming),
    silenced: () => undefined,
    linkClosed: () => undefined,
    forget: () => undefined,
    progress: () => undefined,
  }
  const link = new Link(host, role, 1, { memory, fd: -1, address: 0n, key: 0n }, LOCAL.address)
  // Without the handshake, which is another test's.
  if (role === 'acceptor') link.connected()
  /** Lets the peer say this; false when it was the end of the link. */
  const hear = (kind: number, count = 0, slot = 0, payload: Iterable<number> = [], credits = 0): boolean => {
    const data = [...payload]
    const header = [kind, count, credits, 0, slot & 255, slot >>> 8, 0, 0]
    new Uint8Array(memory).set([...header, ...data], layout.RECEIVED_AT)
    link.received(0, messages.HEADER_BYTES + data.length)
    return link.lives
  }
  const run = (): void => {
    for (const job of jobs.splice(0)) job()
  }
  return { link, fabric, host, clock, asked, sent, calls, reads, jobs, run, hear }
}

/** With a connection in slot 0. */
export function connected() {
  const all = standing('acceptor')
  assert.equal(all.hear(messages.REQUEST, 0, 0, REQUEST), true)
  const connection = all.asked[0]?.accept(OWNER, new Uint8Array())
  assert.ok(connection?.ok === true)
  return { ...all, connection: connection.value }
}

/** Numbers of 32 bits, as a message has them. */
export function words(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer)
}

/** 100 bytes at address 0 with key 1, as descriptor 5. */
export const EXPOSED = words(5, 100, 0, 0, 1, 0)

/** Switched sockets that come to a switched process and cannot go on there: what was unread is read, then comes a reset. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'

import { OFFER, OFFER_VERSION, decodeTaker, encodeCargo } from '../../src/faces/net/cargo.ts'
import type { Cargo } from '../../src/faces/net/cargo.ts'
import { encodePassage, drawTicket } from '../../src/providers/shm/moving.ts'
import { PACKED_VERSION, encodePacked } from '../../src/switch/session/packed.ts'
import { REGISTER, beside } from '../support/app.ts'
import { within } from '../support/waiting.ts'

const PATIENCE_MS = 30_000
const NONCE = '0123456789abcdef0123456789abcdef'
const ADDRESS = { family: 'IPv4', address: '127.0.0.1', port: 1 } as const

/** A switched program that is sent one end of a connection as a switched socket. */
async function taker(t: TestContext): Promise<{ child: ChildProcess; end: Socket }> {
  const child = fork(beside(import.meta.url, 'taker'), { execArgv: ['--require', REGISTER] })
  t.after(() => child.kill('SIGKILL'))
  await within(once(child, 'message'), PATIENCE_MS, 'the program')
  // Nobody here is to read what is for the program.
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = once(server, 'connection') as Promise<[Socket]>
  const end = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [sent] = await connection
  server.close()
  const offer = { cmd: OFFER, version: OFFER_VERSION, nonce: NONCE }
  // As Node's own internal messages go.
  ;(child as unknown as { _send: (message: object, handle: undefined, swallow: boolean) => void })._send(
    offer,
    undefined,
    true,
  )
  child.send({}, sent)
  let heard = Buffer.alloc(0)
  for await (const chunk of end.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    heard = Buffer.concat([heard, chunk])
    const who = decodeTaker(NONCE, heard)
    if (who === 'more') continue
    assert.ok(typeof who === 'object' && who.processId === child.pid)
    break
  }
  return { child, end }
}

function cargo(session: Uint8Array, provider = 'shm'): Buffer {
  const facts = {
    moved: true,
    direction: 'in',
    local: ADDRESS,
    remote: ADDRESS,
    ends: false,
    typeOfService: 0,
  } as const
  return encodeCargo({ ...facts, provider, session, unsent: Buffer.from('unsent') } satisfies Cargo)
}

/** A session whose peer is process `peerPid`, with `unread` bytes. */
function session(processId: number, peerPid: number): Buffer {
  return Buffer.from(
    encodePacked({
      version: PACKED_VERSION,
      duplicate: encodePassage({ processId, peerPid, ticket: drawTicket() }),
      role: 'acceptor',
      state: 'open',
      peerHello: { regionBytes: 1216, maxRingBytes: 1 << 20, features: 0 },
      sent: 0,
      received: 6,
      bytesRead: 0,
      bytesWritten: 0,
      unread: { bytes: Buffer.from('unread'), inline: false },
    }),
  )
}

/** A process number that nobody has: that of a process which has ended. */
async function nobody(): Promise<number> {
  const ended = fork(beside(import.meta.url, 'taker'), { execArgv: ['--eval', '0'], stdio: 'ignore' })
  await once(ended, 'exit')
  return ended.pid as number
}

const CASES: Readonly<
  Record<string, { readonly heard: string; readonly bytes: (pid: number) => Promise<Buffer> | Buffer }>
> = {
  'its peer is gone': { heard: 'unread', bytes: async (pid) => cargo(session(pid, await nobody())) },
  'it was packed for another process': {
    heard: 'unread',
    bytes: (pid) => cargo(session(pid + 1, process.pid)),
  },
  'nobody here carries it': {
    heard: 'unread',
    bytes: (pid) => cargo(session(pid, process.pid), 'another provider'),
  },
  'what came is no session': { heard: '', bytes: () => cargo(Buffer.from('nonsense')) },
  'who sent it has died on the way': {
    heard: '',
    bytes: (pid) => cargo(session(pid, process.pid)).subarray(0, -1),
  },
  'what came is no cargo': { heard: '', bytes: () => Buffer.alloc(8, 0xff) },
}

for (const [why, { heard, bytes }] of Object.entries(CASES)) {
  test(`WSD-DUP-26 a socket that comes and cannot go on, because ${why}: unread bytes, then a reset`, async (t) => {
    const { child, end } = await taker(t)
    const said = once(child, 'message')
    end.end(await bytes(child.pid ?? 0))
    const [word] = (await within(said, PATIENCE_MS, 'what the program read')) as [object]
    assert.deepEqual(word, { heard, end: 'ECONNRESET' })
    end.destroy()
  })
}

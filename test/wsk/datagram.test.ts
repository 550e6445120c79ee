import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { SockAddr, WskDatagramIndication, WskDatagramSocket } from '../../src/faces/wsk/index.ts'
import { Calls, Station, begin, events, outcomeOf, overEach, turns } from './station.ts'

const FROM = wsk.WSK_EVENT_RECEIVE_FROM

interface End {
  readonly socket: WskDatagramSocket
  readonly address: SockAddr
}

async function open(station: Station, dispatch: wsk.WskClientDatagramDispatch | null = null): Promise<End> {
  const socket = await station.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET, { dispatch })
  return station.bind(socket)
}

function send({ socket }: End, text: string, to: SockAddr | null) {
  return outcomeOf<number>((irp) =>
    socket.dispatch.WskSendTo(socket, wsk.wskBuf(Buffer.from(text)), 0, to, null, irp),
  )
}

async function receive({ socket }: End, bytes = 64) {
  const buffer = Buffer.alloc(bytes)
  const remote = wsk.out<SockAddr>()
  const controlFlags = wsk.out<number>()
  const controlLength = wsk.out<number>()
  const length = await new Promise<number>((resolve, reject) => {
    const irp = new wsk.Irp<number>()
    irp.promise().then(resolve, reject)
    socket.dispatch.WskReceiveFrom(socket, wsk.wskBuf(buffer), 0, remote, controlLength, controlFlags, irp)
  })
  return {
    text: buffer.subarray(0, length).toString(),
    remote: remote.value,
    flags: controlFlags.value,
    controlLength: controlLength.value,
  }
}

async function fix({ socket }: End, code: number, address: SockAddr | null): Promise<void> {
  const { status } = await outcomeOf<number>((irp) =>
    socket.dispatch.WskControlSocket(socket, wsk.WskIoctl, code, 0, address, null, irp),
  )
  assert.equal(status, wsk.STATUS_SUCCESS)
}

/** A callback that keeps, takes or refuses lists. */
class Receiver {
  readonly calls = new Calls<[list: WskDatagramIndication | null]>()
  answer: wsk.NtStatus = wsk.STATUS_SUCCESS
  readonly dispatch: wsk.WskClientDatagramDispatch = {
    WskReceiveFromEvent: (_context, _flags, list) => {
      this.calls.note(list)
      return this.answer
    },
  }
  get texts(): string[] {
    return this.calls.all.flatMap(([list]) => textsOf(list))
  }
}

function textsOf(list: WskDatagramIndication | null): string[] {
  const texts: string[] = []
  for (let node = list; node !== null; node = node.next) texts.push(wsk.bytesOf(node.buffer).toString())
  return texts
}

describe('WSK datagrams', () => {
  test('WSK-DGRAM-2 WSK-DGRAM-3 WSK-DGRAM-8 one receive is one datagram, and what has no room is cut', async (t) => {
    const station = new Station(t, 'tcpip')
    const [one, other] = [await open(station), await open(station)]
    const { status, information } = await send(one, 'hello', other.address)
    assert.deepEqual([status, information], [wsk.STATUS_SUCCESS, 5])
    assert.deepEqual(await receive(other), { text: 'hello', remote: one.address, flags: 0, controlLength: 0 })
    await send(one, 'too long', other.address)
    await send(one, 'next', other.address)
    const cut = await receive(other, 3)
    assert.deepEqual([cut.text, cut.flags], ['too', wsk.MSG_TRUNC])
    assert.equal((await receive(other)).text, 'next')
    await send(one, '', other.address)
    assert.equal((await receive(other)).text, '')
  })

  overEach(
    'C13 WSK-DGRAM-5 WSK-DGRAM-7 a fixed remote is the default and a filter; an override does not widen it',
    async (station) => {
      const [one, friend, stranger] = [await open(station), await open(station), await open(station)]
      assert.equal((await send(one, 'nowhere', null)).status, wsk.STATUS_INVALID_PARAMETER)
      await fix(one, wsk.SIO_WSK_SET_REMOTE_ADDRESS, friend.address)
      await send(one, 'by default', null)
      assert.equal((await receive(friend)).text, 'by default')
      await send(one, 'on purpose', stranger.address)
      assert.equal((await receive(stranger)).text, 'on purpose')
      await send(stranger, 'unheard', one.address)
      await send(friend, 'heard', one.address)
      assert.equal((await receive(one)).text, 'heard')
      await fix(one, wsk.SIO_WSK_SET_REMOTE_ADDRESS, null)
      await send(stranger, 'heard now', one.address)
      assert.equal((await receive(one)).text, 'heard now')
      assert.equal((await send(one, 'nowhere', null)).status, wsk.STATUS_INVALID_PARAMETER)
    },
  )

  overEach('C13 WSK-DGRAM-6 a fixed destination is the default, and filters nothing', async (station) => {
    const [one, friend, stranger] = [await open(station), await open(station), await open(station)]
    await fix(one, wsk.SIO_WSK_SET_SENDTO_ADDRESS, friend.address)
    await send(one, 'by default', null)
    assert.equal((await receive(friend)).text, 'by default')
    await send(stranger, 'heard', one.address)
    assert.equal((await receive(one)).text, 'heard')
    await fix(one, wsk.SIO_WSK_SET_SENDTO_ADDRESS, null)
    assert.equal((await send(one, 'nowhere', null)).status, wsk.STATUS_INVALID_PARAMETER)
  })

  test('WSK-DGRAM-9 a list of messages is a datagram each, and one request', async (t) => {
    const station = new Station(t, 'tcpip')
    const [one, other] = [await open(station), await open(station)]
    const messages = ['one', 'two', 'three'].map((text) => wsk.wskBuf(Buffer.from(text)))
    const total = await station.call<number>((irp) =>
      one.socket.dispatch.WskSendMessages(one.socket, messages, 0, other.address, null, irp),
    )
    assert.equal(total, 11)
    for (const text of ['one', 'two', 'three']) assert.equal((await receive(other)).text, text)
  })

  test('WSK-DGRAM-4 WSK-BIND-4 a receive that waits goes before the callback', async (t) => {
    const station = new Station(t, 'tcpip')
    const receiver = new Receiver()
    const socket = await station.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET, { dispatch: receiver.dispatch })
    const bound = await station.bind(socket, wsk.sockAddr('0.0.0.0', 0))
    const sender = await open(station)
    const to = { ...bound.address, address: '127.0.0.1' }
    assert.equal(events(socket, FROM), wsk.STATUS_SUCCESS)
    const waiting = receive(bound)
    await send(sender, 'pulled', to)
    assert.equal((await waiting).text, 'pulled')
    await send(sender, 'pushed', to)
    await receiver.calls.reach(1)
    assert.deepEqual(receiver.texts, ['pushed'])
  })

  test('WSK-DGRAM-11 WSK-EVC-13 lists are retained, and released whole or node by node', async (t) => {
    const station = new Station(t, 'tcpip')
    const receiver = new Receiver()
    receiver.answer = wsk.STATUS_PENDING
    const [one, other] = [await open(station, receiver.dispatch), await open(station)]
    events(one.socket, FROM)
    for (const text of ['a', 'b']) await send(other, text, one.address)
    while (receiver.texts.length < 2) await receiver.calls.reach(receiver.calls.all.length + 1)
    const nodes: WskDatagramIndication[] = []
    for (const [list] of receiver.calls.all)
      for (let node = list; node !== null; node = node.next) nodes.push(node)
    assert.deepEqual(
      nodes.map(({ remoteAddress }) => remoteAddress),
      [other.address, other.address],
    )
    const { dispatch } = one.socket
    for (const node of nodes) {
      node.next = null
      assert.equal(dispatch.WskRelease(one.socket, node), wsk.STATUS_SUCCESS)
      assert.equal(dispatch.WskRelease(one.socket, node), wsk.STATUS_INVALID_PARAMETER)
    }
  })

  test('a callback that was enabled by hand and refuses is disabled, and told all of it when enabled again', async (t) => {
    const station = new Station(t, 'tcpip')
    const receiver = new Receiver()
    receiver.answer = wsk.STATUS_DATA_NOT_ACCEPTED
    const [one, other] = [await open(station, receiver.dispatch), await open(station)]
    events(one.socket, FROM)
    await send(other, 'first', one.address)
    await receiver.calls.reach(1)
    await send(other, 'second', one.address)
    await turns()
    assert.equal(receiver.calls.all.length, 1)
    receiver.answer = wsk.STATUS_SUCCESS
    receiver.calls.all.length = 0
    events(one.socket, FROM)
    while (receiver.texts.length < 2) await receiver.calls.reach(receiver.calls.all.length + 1)
    assert.deepEqual(receiver.texts, ['first', 'second'])
  })

  test('WSK-EVC-12 WSK-ORDER-17 a callback enabled for good is told what is new, and cannot be disabled', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const statics = (eventMask: number): wsk.NtStatus =>
      dispatch.WskControlClient(
        client,
        wsk.WSK_SET_STATIC_EVENT_CALLBACKS,
        { npiId: wsk.NPI_WSK_INTERFACE_ID, eventMask },
        null,
        null,
      )
    assert.equal(statics(0x1000), wsk.STATUS_INVALID_PARAMETER)
    assert.equal(statics(FROM | wsk.WSK_EVENT_ACCEPT), wsk.STATUS_SUCCESS)
    const receiver = new Receiver()
    receiver.answer = wsk.STATUS_DATA_NOT_ACCEPTED
    const [one, other] = [await open(station, receiver.dispatch), await open(station)]
    assert.equal(statics(FROM), wsk.STATUS_INVALID_DEVICE_STATE)
    assert.equal(events(one.socket, FROM | wsk.WSK_EVENT_DISABLE), wsk.STATUS_INVALID_DEVICE_REQUEST)
    await send(other, 'refused', one.address)
    await receiver.calls.reach(1)
    await send(other, 'new', one.address)
    await receiver.calls.reach(2)
    assert.deepEqual(receiver.texts, ['refused', 'new'])
  })

  test('WSK-DGRAM-10 broadcasting has to be asked for', async (t) => {
    const station = new Station(t, 'tcpip')
    const socket = await station.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET)
    const end = await station.bind(socket, wsk.sockAddr('0.0.0.0', 0))
    const everybody = wsk.sockAddr('127.255.255.255', 9)
    assert.equal(wsk.statusName((await send(end, 'x', everybody)).status), 'STATUS_ACCESS_DENIED')
    await station.set(socket, wsk.SO_BROADCAST, 1)
    assert.equal(wsk.statusName((await send(end, 'x', everybody)).status), 'STATUS_SUCCESS')
  })

  test('WSK-DGRAM-12 what nobody reads is bounded: the newest is lost', async (t) => {
    const station = new Station(t, 'tcpip')
    const [one, other] = [await open(station), await open(station)]
    await station.set(one.socket, wsk.SO_RCVBUF, 10)
    for (const text of ['12345', '67890', 'lost']) await send(other, text, one.address)
    await turns()
    assert.deepEqual([(await receive(one)).text, (await receive(one)).text], ['12345', '67890'])
    await send(other, 'again', one.address)
    assert.equal((await receive(one)).text, 'again')
  })

  test('a dead socket tells its callback once, and a pending receive ends with the close', async (t) => {
    const station = new Station(t, 'tcpip')
    const receiver = new Receiver()
    const one = await open(station, receiver.dispatch)
    const waiting = begin<number>((irp) =>
      one.socket.dispatch.WskReceiveFrom(one.socket, wsk.wskBuf(Buffer.alloc(1)), 0, null, null, null, irp),
    )
    events(one.socket, FROM)
    station.wsk.transports.remove(wsk.UDP_TRANSPORT)
    assert.deepEqual(await receiver.calls.reach(1), [null])
    assert.equal((await waiting.outcome).status, wsk.STATUS_FILE_FORCED_CLOSED)
  })

  test('a taken port is refused by the matrix here, and by the kernel for others', async (t) => {
    const station = new Station(t, 'tcpip')
    const one = await open(station)
    for (const other of [station, new Station(t, 'tcpip')]) {
      const socket = await other.socket(wsk.WSK_FLAG_DATAGRAM_SOCKET)
      const { status } = await outcomeOf<0>((irp) => socket.dispatch.WskBind(socket, one.address, 0, irp))
      assert.equal(wsk.statusName(status), 'STATUS_ADDRESS_ALREADY_EXISTS')
    }
  })
})

import assert from 'node:assert/strict'
import { describe } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { WskClientConnectionDispatch, WskClientListenDispatch } from '../../src/faces/wsk/index.ts'
import { Calls, begin, events, outcomeOf, overEach, turns } from './station.ts'
import type { Station } from './station.ts'

type AcceptCall = [
  context: unknown,
  socket: wsk.WskConnectionSocket | null,
  local: wsk.SockAddr | null,
  remote: wsk.SockAddr | null,
]

/** A WskAcceptEvent that notes its calls, and answers as told. */
function acceptEvent(
  calls: Calls<AcceptCall>,
  take: (
    socket: wsk.WskConnectionSocket,
    context: wsk.Out<unknown>,
    dispatch: wsk.Out<WskClientConnectionDispatch | null>,
  ) => wsk.NtStatus = () => wsk.STATUS_SUCCESS,
): WskClientListenDispatch {
  return {
    WskAcceptEvent(context, flags, local, remote, socket, itsContext, itsDispatch) {
      assert.equal(flags, 0)
      calls.note(context, socket, local, remote)
      return socket === null ? wsk.STATUS_REQUEST_NOT_ACCEPTED : take(socket, itsContext, itsDispatch)
    },
  }
}

/** How a connection that nobody wants ends: at connect, or, where the peer believes in it, when it reads. */
async function endOf(station: Station, address: wsk.SockAddr): Promise<string> {
  const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
  await station.bind(socket)
  const connected = await outcomeOf<0>((irp) => socket.dispatch.WskConnect(socket, address, 0, irp))
  if (connected.status !== wsk.STATUS_SUCCESS) return wsk.statusName(connected.status)
  const read = await outcomeOf<number>((irp) =>
    socket.dispatch.WskReceive(socket, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
  )
  return wsk.statusName(read.status)
}

describe('WSK accepting', () => {
  overEach(
    'WSK-BIND-2 WSK-LISTEN-1 WSK-ACCEPT-2 WSK-ACCEPT-4 to -6 an accept waits for the connection that comes',
    async (station) => {
      const { socket, address } = await station.listener()
      const local = wsk.out<wsk.SockAddr>()
      const remote = wsk.out<wsk.SockAddr>()
      const { returned, outcome } = begin<wsk.WskConnectionSocket>((irp) =>
        socket.dispatch.WskAccept(socket, 0, 'context', null, local, remote, irp),
      )
      assert.equal(returned, wsk.STATUS_PENDING)
      const near = await station.connect(address)
      const { status, information } = await outcome
      assert.equal(status, wsk.STATUS_SUCCESS)
      const far = information as wsk.WskConnectionSocket
      station.keep(far)
      assert.equal(far.category, 'connection')
      assert.deepEqual([local.value, remote.value], [address, await station.localAddress(near)])
    },
  )

  overEach(
    'WSK-ACCEPT-1 WSK-ACCEPT-3 WSK-ACCEPT-16 connections that wait are taken in order of arrival, at once',
    async (station) => {
      const { socket, address } = await station.listener()
      const clients = []
      for (let i = 0; i < 5; i++) {
        const client = await station.connect(address)
        clients.push((await station.localAddress(client)).port)
        await turns(3)
      }
      const ports: number[] = []
      const accepting = clients.map(async () => {
        const remote = wsk.out<wsk.SockAddr>()
        const accepted = await outcomeOf<wsk.WskConnectionSocket>((irp) =>
          socket.dispatch.WskAccept(socket, 0, null, null, null, remote, irp),
        )
        station.keep(accepted.information as wsk.WskConnectionSocket)
        assert.equal(accepted.returned, wsk.STATUS_SUCCESS)
        ports.push(remote.value?.port ?? 0)
      })
      await Promise.all(accepting)
      assert.deepEqual(ports, clients)
    },
  )

  overEach(
    'WSK-ACCEPT-8 WSK-ACCEPT-12 WSK-ACCEPT-18 WSK-EVT-1 WSK-OBJ-6 an enabled callback is called for each connection',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const { socket, address } = await station.listener({
        context: 'listener',
        dispatch: acceptEvent(calls),
      })
      const early = await station.connect(address)
      await turns()
      assert.equal(calls.all.length, 0)
      assert.equal(events(socket, wsk.WSK_EVENT_ACCEPT), wsk.STATUS_SUCCESS)
      const [context, far, local, remote] = await calls.reach(1)
      assert.equal(context, 'listener')
      assert.deepEqual([local, remote], [address, await station.localAddress(early)])
      assert.equal(far?.category, 'connection')
      station.keep(far)
      await station.send(early, 'hello')
      assert.equal((await station.receive(far, 5)).toString(), 'hello')
      await station.connect(address)
      station.keep((await calls.reach(2))[1]!)
    },
  )

  overEach(
    'WSK-ACCEPT-9 WSK-CA-19 a refused socket is closed for the client, and its peer is reset',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const { socket, address } = await station.listener({
        dispatch: acceptEvent(calls, () => wsk.STATUS_REQUEST_NOT_ACCEPTED),
      })
      events(socket, wsk.WSK_EVENT_ACCEPT)
      assert.equal(await endOf(station, address), 'STATUS_CONNECTION_RESET')
      const refused = calls.all[0]?.[1]
      const late = await outcomeOf<0>((irp) => refused!.dispatch.WskCloseSocket(refused!, irp))
      assert.equal(late.status, wsk.STATUS_INVALID_HANDLE)
    },
  )

  overEach(
    'C2 WSK-ACCEPT-11 WSK-EVC-5 WSK-EVC-6 WSK-ORDER-11 an accept that waits goes before the callback; a disabled one is silent',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const { socket, address } = await station.listener({ dispatch: acceptEvent(calls) })
      events(socket, wsk.WSK_EVENT_ACCEPT)
      const accepting = station.accept(socket)
      await station.connect(address)
      await accepting
      assert.equal(calls.all.length, 0)
      await station.connect(address)
      station.keep((await calls.reach(1))[1]!)
      const irp = new wsk.Irp<number>()
      const disabled = irp.promise()
      events(socket, wsk.WSK_EVENT_ACCEPT | wsk.WSK_EVENT_DISABLE, irp)
      await disabled
      await station.connect(address)
      await turns()
      assert.equal(calls.all.length, 1)
      await station.accept(socket)
    },
  )

  overEach(
    'WSK-EVT-8 WSK-ACCEPT-17 WSK-ORDER-14 a callback may use the new socket, and close another one, but hears nothing of it yet',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const heard = new Calls<[string]>()
      let inside = false
      const previous: wsk.WskConnectionSocket[] = []
      const connection: WskClientConnectionDispatch = {
        WskReceiveEvent(context, _flags, list) {
          assert.equal(inside, false)
          heard.note(`${String(context)}: ${wsk.bytesOf(list!.buffer).toString()}`)
          return wsk.STATUS_SUCCESS
        },
      }
      const { socket, address } = await station.listener({
        dispatch: acceptEvent(calls, (accepted, context, dispatch) => {
          inside = true
          context.value = `socket ${calls.all.length}`
          dispatch.value = connection
          assert.equal(events(accepted, wsk.WSK_EVENT_RECEIVE), wsk.STATUS_SUCCESS)
          const old = previous.pop()
          if (old !== undefined) old.dispatch.WskCloseSocket(old, new wsk.Irp())
          previous.push(accepted)
          inside = false
          return wsk.STATUS_SUCCESS
        }),
      })
      const one = await station.connect(address)
      await station.send(one, 'sent before anybody accepts')
      events(socket, wsk.WSK_EVENT_ACCEPT)
      assert.deepEqual(await heard.reach(1), ['socket 1: sent before anybody accepts'])
      const other = await station.connect(address)
      await station.send(other, 'again')
      assert.deepEqual(await heard.reach(2), ['socket 2: again'])
      const { status } = await outcomeOf<number>((irp) =>
        one.dispatch.WskReceive(one, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
      )
      assert.equal(status, wsk.STATUS_CONNECTION_RESET)
      station.keep(previous[0]!)
    },
  )

  overEach(
    'C12 WSK-ACCEPT-13 WSK-ACCEPT-14 WSK-EVC-3 WSK-EVC-9 WSK-EVC-10 what accepted sockets inherit, by both ways',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const heard = new Calls<[string]>()
      const connection: WskClientConnectionDispatch = {
        WskReceiveEvent(_context, _flags, list) {
          heard.note(wsk.bytesOf(list!.buffer).toString())
          return wsk.STATUS_SUCCESS
        },
      }
      const { socket, address } = await station.listener({
        dispatch: acceptEvent(calls, (_accepted, _context, dispatch) => {
          dispatch.value = connection
          return wsk.STATUS_SUCCESS
        }),
      })
      await station.set(socket, wsk.SO_KEEPALIVE, 1)
      await station.set(socket, wsk.SO_RCVBUF, 32_768)
      const both = wsk.WSK_EVENT_ACCEPT | wsk.WSK_EVENT_RECEIVE
      assert.equal(events(socket, both), wsk.STATUS_SUCCESS)
      assert.equal(
        events(socket, wsk.WSK_EVENT_RECEIVE | wsk.WSK_EVENT_DISABLE),
        wsk.STATUS_INVALID_DEVICE_REQUEST,
      )
      assert.equal(events(socket, wsk.WSK_EVENT_RECEIVE_FROM), wsk.STATUS_INVALID_PARAMETER)
      // They survive disabling and enabling of the accept callback.
      events(socket, wsk.WSK_EVENT_ACCEPT | wsk.WSK_EVENT_DISABLE)
      events(socket, wsk.WSK_EVENT_ACCEPT)
      const one = await station.connect(address)
      const far = (await calls.reach(1))[1]!
      station.keep(far)
      await station.send(one, 'told')
      assert.deepEqual(await heard.reach(1), ['told'])
      assert.deepEqual(
        [await station.get(far, wsk.SO_KEEPALIVE), await station.get(far, wsk.SO_RCVBUF)],
        [1, 32_768],
      )
      await station.set(far, wsk.SO_KEEPALIVE, 0)
      assert.equal(await station.get(far, wsk.SO_KEEPALIVE), 0)
      // By WskAccept options are inherited, callbacks are not.
      const accepting = station.accept(socket, { dispatch: connection })
      const other = await station.connect(address)
      const pulled = await accepting
      assert.equal(await station.get(pulled, wsk.SO_RCVBUF), 32_768)
      await station.send(other, 'not told')
      await turns()
      assert.equal(heard.all.length, 1)
      assert.equal((await station.receive(pulled, 8)).toString(), 'not told')
    },
  )

  overEach(
    'WSK-ACCEPT-15 connections beyond the backlog are refused or reset, the newest first',
    async (station, { carrier }) => {
      const { socket, address } = await station.listener()
      const clients: wsk.WskConnectionSocket[] = []
      for (let i = 0; i < 2; i++) {
        clients.push(await station.connect(address))
        await turns(5)
      }
      const refusal = carrier === 'tcpip' ? 'STATUS_CONNECTION_RESET' : 'STATUS_CONNECTION_REFUSED'
      for (let i = 0; i < 2; i++) assert.equal(await endOf(station, address), refusal)
      for (const client of clients) {
        const far = await station.accept(socket)
        await station.send(client, 'x')
        assert.equal((await station.receive(far, 1)).toString(), 'x')
      }
    },
    { backlog: 2 },
  )

  overEach(
    'WSK-OBJ-11 WSK-LISTEN-2 WSK-LISTEN-3 WSK-CONN-2 a stream socket becomes what it is first asked to be',
    async (station) => {
      const calls = new Calls<AcceptCall>()
      const server = await station.socket(wsk.WSK_FLAG_STREAM_SOCKET, {
        dispatch: { Listen: acceptEvent(calls) },
      })
      const { address } = await station.bind(server)
      await station.call<0>((irp) => server.dispatch.WskListen(server, irp))
      for (const call of [
        (irp: wsk.Irp) => server.dispatch.WskConnect(server, address, 0, irp),
        (irp: wsk.Irp) => server.dispatch.WskListen(server, irp),
        (irp: wsk.Irp) => server.dispatch.WskSend(server, wsk.wskBuf(Buffer.alloc(1)), 0, irp),
      ]) {
        assert.equal((await outcomeOf(call)).status, wsk.STATUS_INVALID_DEVICE_STATE)
      }
      const client = await station.socket(wsk.WSK_FLAG_STREAM_SOCKET)
      await station.bind(client)
      await station.call<0>((irp) => client.dispatch.WskConnect(client, address, 0, irp))
      const listening = await outcomeOf<0>((irp) => client.dispatch.WskListen(client, irp))
      assert.equal(listening.status, wsk.STATUS_INVALID_DEVICE_STATE)
      const far = await station.call<wsk.WskConnectionSocket>((irp) =>
        server.dispatch.WskAccept(server, 0, null, null, null, null, irp),
      )
      station.keep(far)
      await station.call<number>((irp) =>
        client.dispatch.WskSend(client, wsk.wskBuf(Buffer.from('both')), 0, irp),
      )
      assert.equal((await station.receive(far, 4)).toString(), 'both')
      assert.equal(events(server, wsk.WSK_EVENT_ACCEPT), wsk.STATUS_SUCCESS)
      await station.connect(address)
      station.keep((await calls.reach(1))[1]!)
    },
  )
})

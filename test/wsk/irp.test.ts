import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import { collectGarbage } from '../support/garbage.ts'
import { Station, begin, outcomeOf, overEach, turns } from './station.ts'

describe('IRPs', () => {
  overEach(
    'WSK-IRP-1 WSK-IRP-6 WSK-IRP-7 what is returned agrees with what the IRP says, once',
    async (station) => {
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      const irp = new wsk.Irp<0>()
      let completions = 0
      irp.setCompletionRoutine(() => {
        completions += 1
        return wsk.STATUS_MORE_PROCESSING_REQUIRED
      })
      const address = wsk.sockAddr('127.0.0.1', 0)
      assert.equal(socket.dispatch.WskBind(socket, address, 0, irp), wsk.STATUS_SUCCESS)
      // The routine has run: the IRP can be used again at once.
      assert.deepEqual(
        [completions, irp.ioStatus.status, irp.ioStatus.information],
        [1, wsk.STATUS_SUCCESS, 0],
      )
      irp.reuse().setCompletionRoutine(() => {
        completions += 1
        return wsk.STATUS_MORE_PROCESSING_REQUIRED
      })
      // A failure completes it, too.
      const failed = socket.dispatch.WskBind(socket, address, 0, irp)
      assert.deepEqual(
        [failed, irp.ioStatus.status],
        [wsk.STATUS_INVALID_DEVICE_STATE, wsk.STATUS_INVALID_DEVICE_STATE],
      )
      assert.equal(completions, 2)
    },
  )

  test('WSK-IRP-2 WSK-IRP-3 WSK-IRP-4 WSK-IRP-5 routines run last set first, until one keeps the IRP', (t) => {
    const station = new Station(t, 'tcpip')
    const ran: string[] = []
    const irp = wsk.IoAllocateIrp<wsk.WskBasicSocket>()
    const note = (name: string, answer: wsk.NtStatus): wsk.CompletionRoutine<wsk.WskBasicSocket> => {
      return (same, context) => {
        assert.equal(same, irp)
        ran.push(`${name} ${String(context)}`)
        return answer
      }
    }
    wsk.IoSetCompletionRoutine(irp, note('upper', wsk.STATUS_SUCCESS), 1, true, true, true)
    wsk.IoSetCompletionRoutine(irp, note('keeps', wsk.STATUS_MORE_PROCESSING_REQUIRED), 2, true, true, true)
    wsk.IoSetCompletionRoutine(irp, note('error only', wsk.STATUS_SUCCESS), 3, false, true, false)
    wsk.IoSetCompletionRoutine(irp, note('lower', wsk.STATUS_SUCCESS), 4, true, false, false)
    const { client, dispatch } = station.npi
    dispatch.WskSocket(client, wsk.AF_INET, 1, 6, 0, null, null, null, null, null, irp)
    assert.deepEqual(ran, ['lower 4', 'keeps 2'])
    irp.resume()
    assert.deepEqual(ran, ['lower 4', 'keeps 2', 'upper 1'])
    assert.equal(irp.state, 'completed')
    station.keep(irp.ioStatus.information as wsk.WskBasicSocket)
    wsk.IoFreeIrp(irp)
    assert.throws(
      () => dispatch.WskSocket(client, 2, 1, 6, 0, null, null, null, null, null, irp),
      /the IRP is freed/,
    )
  })

  overEach(
    'WSK-IRP-8 WSK-IRP-11 requests started from a completion routine complete after it, however long the chain',
    async (station) => {
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      const { address } = await station.bind(socket)
      let left = 20_000
      let depth = 0
      let deepest = 0
      const local = wsk.out<wsk.SockAddr>()
      await new Promise<void>((resolve) => {
        const irp = new wsk.Irp<0>()
        const ask = (): void => {
          depth += 1
          deepest = Math.max(deepest, depth)
          irp.reuse().setCompletionRoutine(() => {
            left -= 1
            if (left > 0) ask()
            else resolve()
            return wsk.STATUS_MORE_PROCESSING_REQUIRED
          })
          socket.dispatch.WskGetLocalAddress(socket, local, irp)
          depth -= 1
        }
        ask()
      })
      assert.deepEqual(local.value, address)
      assert.ok(deepest <= 2, `completions nested ${deepest} deep`)
    },
  )

  test('WSK-IRP-9 without an IRP, or with an object of nobody, only the answer tells', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const irp = new wsk.Irp<wsk.WskBasicSocket>()
    const make = (from: wsk.WskClient | null, with_: wsk.Irp<wsk.WskBasicSocket> | null): wsk.NtStatus =>
      dispatch.WskSocket(from, wsk.AF_INET, 1, 6, 0, null, null, null, null, null, with_)
    assert.equal(make(client, null), wsk.STATUS_INVALID_PARAMETER)
    assert.equal(make(null, irp), wsk.STATUS_INVALID_HANDLE)
    const found = wsk.out<wsk.AddrInfo>()
    assert.equal(
      dispatch.WskGetAddressInfo(client, 'localhost', null, null, found, null),
      wsk.STATUS_INVALID_PARAMETER,
    )
    assert.equal(irp.state, 'idle')
    const socket = await station.socket(wsk.WSK_FLAG_LISTEN_SOCKET)
    const fake = { category: 'listen', dispatch: socket.dispatch } as const
    assert.equal(
      fake.dispatch.WskBind(fake, wsk.sockAddr('127.0.0.1', 0), 0, new wsk.Irp()),
      wsk.STATUS_INVALID_HANDLE,
    )
  })

  overEach('WSK-IRP-10 an IRP belongs to one request at a time', async (station) => {
    const { socket } = await station.listener()
    const { irp, outcome } = begin<wsk.WskConnectionSocket>((its) =>
      socket.dispatch.WskAccept(socket, 0, null, null, null, null, its),
    )
    assert.equal(irp.state, 'pending')
    assert.throws(
      () => socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      /Cannot be lent to a request: the IRP is pending/,
    )
    assert.throws(() => irp.reuse(), /the IRP is pending/)
    irp.cancel()
    assert.equal((await outcome).status, wsk.STATUS_CANCELLED)
  })

  overEach(
    'WSK-IRP-12 to -14 WSK-ORDER-15 a pending request can be cancelled, once, and its real outcome wins a race',
    async (station) => {
      const { socket } = await station.listener()
      const accepting = begin<wsk.WskConnectionSocket>((irp) =>
        socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      )
      assert.equal(accepting.irp.cancel(), true)
      assert.equal(accepting.irp.cancel(), false)
      assert.deepEqual(await accepting.outcome, {
        returned: wsk.STATUS_PENDING,
        status: wsk.STATUS_CANCELLED,
        information: 0,
      })
      const [near, far] = await station.pair()
      const buffer = Buffer.alloc(8)
      const receiving = begin<number>((irp) => far.dispatch.WskReceive(far, wsk.wskBuf(buffer), 0, irp))
      await station.send(near, 'hello')
      const { status, information } = await receiving.outcome
      assert.equal(receiving.irp.cancel(), false)
      assert.deepEqual([status, information], [wsk.STATUS_SUCCESS, 5])
    },
  )

  test('what is cancelled while it waits is forgotten, whatever waits before it', async (t) => {
    const station = new Station(t, 'loopback')
    const { socket: listener } = await station.listener()
    const [near] = await station.pair()
    const kept: WeakRef<object>[] = []
    let told = 0
    const giveUp = <T>(start: (irp: wsk.Irp<T>) => unknown): void => {
      const irp = new wsk.Irp<T>().setCompletionRoutine(({ ioStatus }) => {
        assert.equal(ioStatus.status, wsk.STATUS_CANCELLED)
        told += 1
        return wsk.STATUS_MORE_PROCESSING_REQUIRED
      })
      start(irp)
      irp.cancel()
      kept.push(new WeakRef(irp))
    }
    // Nobody connects, and nobody reads.
    begin<wsk.WskConnectionSocket>((irp) =>
      listener.dispatch.WskAccept(listener, 0, null, null, null, null, irp),
    )
    begin<number>((irp) => near.dispatch.WskSend(near, wsk.wskBuf(Buffer.alloc(64 << 20)), 0, irp))
    for (let i = 0; i < 100; i++) {
      giveUp<wsk.WskConnectionSocket>((irp) =>
        listener.dispatch.WskAccept(listener, 0, null, null, null, null, irp),
      )
      giveUp<number>((irp) => near.dispatch.WskSend(near, wsk.wskBuf(Buffer.alloc(10)), 0, irp))
      await turns(1)
    }
    assert.equal(told, kept.length)
    collectGarbage()
    const left = kept.filter((irp) => irp.deref() !== undefined)
    assert.ok(left.length < 10, `${left.length} of ${kept.length} are kept`)
  })

  overEach('WSK-IRP-15 addresses and descriptors are copied when the function is called', async (station) => {
    const { socket, address } = await station.listener()
    const client = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    await station.bind(client)
    const remote = { ...address }
    const connecting = outcomeOf((irp: wsk.IrpSink<0>) => client.dispatch.WskConnect(client, remote, 0, irp))
    remote.port = 1
    assert.equal((await connecting).status, wsk.STATUS_SUCCESS)
    await station.accept(socket)
    assert.deepEqual(await remoteOf(station, client), address)
  })

  overEach(
    'WSK-IRP-16 WSK-IRP-17 WSK-ORDER-13 many requests of a kind wait at once and complete in the order of the calls',
    async (station) => {
      const [near, far] = await station.pair()
      const order: number[] = []
      const buffers = Array.from({ length: 16 }, () => Buffer.alloc(4))
      const receiving = buffers.map((buffer, at) =>
        outcomeOf<number>((irp) =>
          far.dispatch.WskReceive(far, wsk.wskBuf(buffer), wsk.WSK_FLAG_WAITALL, irp),
        ).then(() => order.push(at)),
      )
      const sending = buffers.map((_, at) => station.send(near, Buffer.from(`${at}`.padStart(4, '0'))))
      await Promise.all([...receiving, ...sending])
      assert.deepEqual(order, [...buffers.keys()])
      assert.deepEqual(
        buffers.map(String),
        buffers.map((_, at) => `${at}`.padStart(4, '0')),
      )
    },
  )

  test('a client under test can be made to wait for everything', async (t) => {
    const station = new Station(t, 'tcpip', { alwaysPending: true })
    const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    const { returned, outcome } = begin<0>((irp) =>
      socket.dispatch.WskBind(socket, wsk.sockAddr('127.0.0.1', 0), 0, irp),
    )
    assert.equal(returned, wsk.STATUS_PENDING)
    assert.equal((await outcome).status, wsk.STATUS_SUCCESS)
  })

  test('a promise of an IRP settles as the request does', async (t) => {
    const station = new Station(t, 'tcpip')
    const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    const irp = new wsk.Irp<0>()
    const failed = irp.promise('connect nowhere')
    socket.dispatch.WskConnect(socket, wsk.sockAddr('127.0.0.1', 1), 0, irp)
    await assert.rejects(failed, (error: wsk.WskError) => {
      assert.equal(error.status, wsk.STATUS_INVALID_DEVICE_STATE)
      assert.equal(error.code, 'STATUS_INVALID_DEVICE_STATE')
      assert.match(error.message, /^Cannot connect nowhere: /)
      return true
    })
    await turns(1)
  })
})

async function remoteOf(
  station: Station,
  socket: wsk.WskConnectionSocket,
): Promise<wsk.SockAddr | undefined> {
  const remote = wsk.out<wsk.SockAddr>()
  await station.call<0>((irp) => socket.dispatch.WskGetRemoteAddress(socket, remote, irp))
  return remote.value
}

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import { Station, begin, outcomeOf } from './station.ts'

function look(
  station: Station,
  node: string | null,
  service: string | null,
  hints: wsk.AddrInfoHints | null = null,
) {
  const { client, dispatch } = station.npi
  const found = wsk.out<wsk.AddrInfo>()
  return outcomeOf<0>((irp) => dispatch.WskGetAddressInfo(client, node, service, hints, found, irp)).then(
    ({ returned, status, information }) => ({ returned, status: wsk.statusName(status), information, found }),
  )
}

function listOf(found: wsk.Out<wsk.AddrInfo>): wsk.SockAddr[] {
  const list: wsk.SockAddr[] = []
  for (let at: wsk.AddrInfo | null = found.value ?? null; at !== null; at = at.next) list.push(at.addr)
  return list
}

describe('WSK client controls and names', () => {
  test('WSK-NAME-1 to -3 WSK-NAME-7 names, numbers and services become addresses with a port', async (t) => {
    const station = new Station(t, 'tcpip')
    const numeric = await look(station, '127.0.0.1', '80')
    assert.deepEqual(
      [numeric.returned, numeric.status, numeric.information],
      [wsk.STATUS_PENDING, 'STATUS_SUCCESS', 0],
    )
    assert.deepEqual(listOf(numeric.found), [wsk.sockAddr('127.0.0.1', 80)])
    const local = await look(station, 'localhost', '443', { family: wsk.AF_INET })
    assert.ok(listOf(local.found).every(({ family, port }) => family === 'IPv4' && port === 443))
    const service = await look(station, null, '8080')
    assert.ok(listOf(service.found).length > 0)
    const { client, dispatch } = station.npi
    dispatch.WskFreeAddressInfo(client, service.found)
    assert.equal(service.found.value, undefined)
  })

  test('WSK-NAME-4 what does not exist is no match, and nothing asked is nothing valid', async (t) => {
    const station = new Station(t, 'tcpip')
    assert.equal((await look(station, null, '')).status, 'STATUS_INVALID_PARAMETER')
    assert.equal((await look(station, '127.0.0.1', '99999')).status, 'STATUS_NO_MATCH')
    assert.equal((await look(station, '127.0.0.1', 'no-such-service')).status, 'STATUS_NO_MATCH')
    assert.equal((await look(station, '127.0.0.1', '1', { family: 99 })).status, 'STATUS_INVALID_PARAMETER')
    const unknown = await look(station, 'no-such-host.invalid', null)
    assert.match(unknown.status, /NO_MATCH|IO_TIMEOUT/)
  })

  test('WSK-NAME-5 an address has a name, or is shown in numbers unless a name is required', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const ask = async (address: wsk.SockAddr, flags: number, service = wsk.out<string>()) => {
      const node = wsk.out<string>()
      const { status } = await outcomeOf<0>((irp) =>
        dispatch.WskGetNameInfo(client, address, node, service, flags, irp),
      )
      return [wsk.statusName(status), node.value, service.value]
    }
    const numbers = wsk.NI_NUMERICHOST | wsk.NI_NUMERICSERV
    assert.deepEqual(await ask(wsk.sockAddr('127.0.0.1', 80), numbers), ['STATUS_SUCCESS', '127.0.0.1', '80'])
    const [status, name] = await ask(wsk.sockAddr('127.0.0.1', 80), 0)
    assert.equal(status, 'STATUS_SUCCESS')
    assert.equal(typeof name, 'string')
    const nobody = wsk.sockAddr('203.0.113.77', 1)
    assert.equal((await ask(nobody, wsk.NI_NAMEREQD))[0], 'STATUS_NO_MATCH')
    const neither = await outcomeOf<0>((irp) => dispatch.WskGetNameInfo(client, nobody, null, null, 0, irp))
    assert.equal(neither.status, wsk.STATUS_INVALID_PARAMETER)
  })

  test('WSK-NAME-5 WSK-NAME-7 services have the names of their protocol, whether or not the host has one', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const nameOf = async (port: number, flags: number): Promise<string | undefined> => {
      const service = wsk.out<string>()
      const address = wsk.sockAddr('203.0.113.77', port)
      await station.call<0>((irp) => dispatch.WskGetNameInfo(client, address, null, service, flags, irp))
      return service.value
    }
    // Port 512 is one thing over TCP and another over UDP; where the host has no list, a number.
    for (const [protocol, flags, socketType, otherType] of [
      ['tcp', 0, wsk.SOCK_STREAM, wsk.SOCK_DGRAM],
      ['udp', wsk.NI_DGRAM, wsk.SOCK_DGRAM, wsk.SOCK_STREAM],
    ] as const) {
      const { stdout } = spawnSync('getent', ['services', `512/${protocol}`], { encoding: 'utf8' })
      const [name = ''] = stdout.split(/\s/)
      assert.equal(await nameOf(512, flags | wsk.NI_NUMERICHOST), name || '512')
      assert.equal(await nameOf(512, flags), name || '512', 'of a host without a name')
      assert.equal(await nameOf(512, flags | wsk.NI_NUMERICSERV), '512')
      if (name === '') continue
      const { found } = await look(station, '127.0.0.1', name, { socketType })
      assert.deepEqual(listOf(found), [wsk.sockAddr('127.0.0.1', 512)])
      assert.equal(
        (await look(station, '127.0.0.1', name, { socketType: otherType })).status,
        'STATUS_NO_MATCH',
      )
    }
  })

  test('WSK-XPORT-1 WSK-XPORT-3 WSK-CTL-1 WSK-CTL-2 transports are listed where there is room', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const query = (list: wsk.WskList<wsk.WskTransport>, irp: wsk.Irp<number> | null = null): wsk.NtStatus =>
      dispatch.WskControlClient(client, wsk.WSK_TRANSPORT_LIST_QUERY, null, list, irp)
    const probe = new wsk.WskList<wsk.WskTransport>(0)
    assert.equal(query(probe), wsk.STATUS_BUFFER_OVERFLOW)
    assert.equal(probe.needed, 2)
    const list = new wsk.WskList<wsk.WskTransport>(probe.needed)
    assert.equal(query(list), wsk.STATUS_SUCCESS)
    for (const { socketType, protocol, addressFamily } of list.items) {
      assert.equal(addressFamily, wsk.AF_UNSPEC)
      for (const family of [wsk.AF_INET, wsk.AF_INET6]) {
        const socket = await station.call<wsk.WskBasicSocket>((irp) =>
          dispatch.WskSocket(client, family, socketType, protocol, 0, null, null, null, null, null, irp),
        )
        station.keep(socket)
      }
    }
    assert.equal(query(list, new wsk.Irp()), wsk.STATUS_INVALID_PARAMETER)
    assert.equal(
      dispatch.WskControlClient(client, wsk.WSK_TRANSPORT_LIST_CHANGE, null, null, null),
      wsk.STATUS_INVALID_PARAMETER,
    )
  })

  test('WSK-XPORT-2 a change of the list is told once, and asked for again', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const change = () =>
      begin<number>((irp) =>
        dispatch.WskControlClient(client, wsk.WSK_TRANSPORT_LIST_CHANGE, null, null, irp),
      )
    const first = change()
    station.wsk.transports.remove(wsk.UDP_TRANSPORT)
    assert.equal((await first.outcome).status, wsk.STATUS_SUCCESS)
    const second = change()
    assert.equal(second.returned, wsk.STATUS_PENDING)
    station.wsk.transports.add(wsk.UDP_TRANSPORT)
    assert.equal((await second.outcome).status, wsk.STATUS_SUCCESS)
  })

  test('WSK-SOCK-7 WSK-ORDER-17 the rest of the client controls: descriptors, TDI, and what does not exist', async (t) => {
    const station = new Station(t, 'tcpip')
    const { client, dispatch } = station.npi
    const control = (code: number, input: wsk.ControlInput | null, output = wsk.out<unknown>()): string =>
      wsk.statusName(dispatch.WskControlClient(client, code, input, output, null))
    assert.equal(control(wsk.WSK_TDI_BEHAVIOR, wsk.WSK_TDI_BEHAVIOR_BYPASS_TDI), 'STATUS_SUCCESS')
    assert.equal(control(wsk.WSK_TDI_DEVICENAME_MAPPING, 1), 'STATUS_NOT_SUPPORTED')
    const cached = wsk.out<unknown>()
    assert.equal(control(wsk.WSK_CACHE_SD, { maySharePort: () => true }, cached), 'STATUS_SUCCESS')
    assert.equal(control(wsk.WSK_RELEASE_SD, cached.value as wsk.SecurityDescriptor), 'STATUS_SUCCESS')
    assert.equal(control(wsk.WSK_RELEASE_SD, 7), 'STATUS_INVALID_PARAMETER')
    assert.equal(control(999, null), 'STATUS_NOT_SUPPORTED')
    await station.socket(wsk.WSK_FLAG_BASIC_SOCKET)
    assert.equal(control(wsk.WSK_TDI_BEHAVIOR, 1), 'STATUS_INVALID_DEVICE_STATE')
  })
})

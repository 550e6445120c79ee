import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { tcpip } from '../../src/providers/tcpip/index.ts'
import { Switch } from '../../src/switch/switch.ts'
import * as wsk from '../../src/faces/wsk/index.ts'
import type { WskProviderNpi } from '../../src/faces/wsk/index.ts'
import { FakeClock } from '../switch/fake-clock.ts'
import { begin, overEach, turns } from './station.ts'

const VERSION = wsk.MAKE_WSK_VERSION(1, 0)

function subsystem(options: { readonly ready?: boolean; readonly clock?: FakeClock } = {}): wsk.Wsk {
  return wsk.createWsk({ switch: new Switch({ san: [] }), tcpip: tcpip(), ...options })
}

function register(
  provider: wsk.Wsk,
  version = VERSION,
): { readonly registration: wsk.WskRegistration; readonly npi: wsk.Out<WskProviderNpi> } {
  const registration = new wsk.WskRegistration()
  const npi = { clientContext: null, dispatch: { version } }
  assert.equal(provider.WskRegister(npi, registration), wsk.STATUS_SUCCESS)
  return { registration, npi: wsk.out() }
}

describe('WSK registration', () => {
  test('WSK-REG-1 to -3 a client registers at any time, several times, without waiting for the provider', async () => {
    const provider = subsystem({ ready: false })
    const one = register(provider)
    const other = register(provider)
    const again = { clientContext: null, dispatch: { version: VERSION } }
    assert.equal(provider.WskRegister(again, one.registration), wsk.STATUS_INVALID_PARAMETER)
    await provider.WskDeregister(one.registration)
    // Its memory may be used again.
    assert.equal(provider.WskRegister(again, one.registration), wsk.STATUS_SUCCESS)
    await provider.WskDeregister(one.registration)
    await provider.WskDeregister(other.registration)
    await assert.rejects(provider.WskDeregister(other.registration), /Cannot deregister/)
  })

  test('WSK-REG-5 WSK-REG-6 WSK-REG-15 a capture waits as long as it was told, and no longer', async () => {
    const clock = new FakeClock()
    const provider = subsystem({ ready: false, clock })
    const { registration, npi } = register(provider)
    assert.equal(
      provider.WskCaptureProviderNPI(registration, wsk.WSK_NO_WAIT, npi),
      wsk.STATUS_DEVICE_NOT_READY,
    )
    const bounded = provider.WskCaptureProviderNPI(registration, 100, npi)
    clock.advance(100)
    assert.equal(await bounded, wsk.STATUS_DEVICE_NOT_READY)
    assert.equal(npi.value, undefined)
    const endless = provider.WskCaptureProviderNPI(registration, wsk.WSK_INFINITE_WAIT, npi)
    clock.advance(2 * wsk.WSK_INFINITE_WAIT)
    const inTime = provider.WskCaptureProviderNPI(registration, 100, wsk.out())
    provider.start()
    assert.equal(await endless, wsk.STATUS_SUCCESS)
    assert.ok(npi.value)
    assert.equal(await inTime, wsk.STATUS_SUCCESS)
    assert.equal(clock.pending, 0, 'nobody waits any more')
    for (let captured = 2; captured > 0; captured -= 1) provider.WskReleaseProviderNPI(registration)
    await provider.WskDeregister(registration)
  })

  test('WSK-REG-7 WSK-REG-8 another major version, or a higher minor, is no interface; the range can be asked for', async () => {
    const provider = subsystem()
    for (const version of [
      wsk.MAKE_WSK_VERSION(2, 0),
      wsk.MAKE_WSK_VERSION(1, 7),
      wsk.MAKE_WSK_VERSION(0, 9),
    ]) {
      const { registration, npi } = register(provider, version)
      assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_NOINTERFACE)
      const range = wsk.out<wsk.WskProviderCharacteristics>()
      assert.equal(provider.WskQueryProviderCharacteristics(registration, range), wsk.STATUS_SUCCESS)
      assert.deepEqual(range.value, { highestVersion: VERSION, lowestVersion: VERSION })
      await provider.WskDeregister(registration)
    }
    const { registration, npi } = register(provider)
    assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_SUCCESS)
    const { version } = npi.value!.dispatch
    assert.deepEqual([wsk.WSK_MAJOR_VERSION(version), wsk.WSK_MINOR_VERSION(version)], [1, 0])
    provider.WskReleaseProviderNPI(registration)
    await provider.WskDeregister(registration)
  })

  test('WSK-REG-9 WSK-REG-11 WSK-ORDER-16 captures nest, and deregistration waits for the last release', async () => {
    const provider = subsystem()
    const { registration, npi } = register(provider)
    for (let i = 0; i < 3; i++) {
      assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_SUCCESS)
    }
    let over = false
    const deregistered = provider.WskDeregister(registration).then(() => {
      over = true
    })
    // The provider is there, and not for this client any more (WSK-REG-13).
    assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_DEVICE_NOT_READY)
    assert.equal(
      provider.WskQueryProviderCharacteristics(registration, wsk.out()),
      wsk.STATUS_DEVICE_NOT_READY,
    )
    for (let i = 0; i < 3; i++) {
      await turns()
      assert.equal(over, false)
      provider.WskReleaseProviderNPI(registration)
    }
    await deregistered
    assert.throws(() => {
      provider.WskReleaseProviderNPI(registration)
    }, /not captured/)
  })

  test('WSK-REG-9 a release without a capture is an error', async () => {
    const provider = subsystem()
    const { registration, npi } = register(provider)
    assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_SUCCESS)
    provider.WskReleaseProviderNPI(registration)
    assert.throws(() => {
      provider.WskReleaseProviderNPI(registration)
    }, /not captured/)
    await provider.WskDeregister(registration)
  })

  test('WSK-REG-13 once deregistration has begun captures fail, those that wait at once', async () => {
    const provider = subsystem({ ready: false })
    const { registration, npi } = register(provider)
    const waiting = provider.WskCaptureProviderNPI(registration, wsk.WSK_INFINITE_WAIT, npi)
    const deregistered = provider.WskDeregister(registration)
    assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_DEVICE_NOT_READY)
    assert.equal(await waiting, wsk.STATUS_DEVICE_NOT_READY)
    const range = wsk.out<wsk.WskProviderCharacteristics>()
    assert.equal(provider.WskQueryProviderCharacteristics(registration, range), wsk.STATUS_DEVICE_NOT_READY)
    await deregistered
  })

  overEach(
    'C11 WSK-REG-10 to -14 WSK-CLOSE-1 the barrier waits for sockets, and ends what only it could end',
    async (station) => {
      const provider = station.wsk
      const { registration, npi } = register(provider)
      assert.equal(provider.WskCaptureProviderNPI(registration, 0, npi), wsk.STATUS_SUCCESS)
      const { client, dispatch } = npi.value!
      const made = await begin<wsk.WskConnectionSocket>((irp) =>
        dispatch.WskSocket(
          client,
          wsk.AF_INET,
          1,
          6,
          wsk.WSK_FLAG_CONNECTION_SOCKET,
          null,
          null,
          null,
          null,
          null,
          irp,
        ),
      ).outcome
      const socket = made.information as wsk.WskConnectionSocket
      const change = begin<number>((irp) =>
        dispatch.WskControlClient(client, wsk.WSK_TRANSPORT_LIST_CHANGE, null, null, irp),
      )
      assert.equal(change.returned, wsk.STATUS_PENDING)
      let over = false
      const deregistered = provider.WskDeregister(registration).then(() => {
        over = true
      })
      assert.equal((await change.outcome).status, wsk.STATUS_CANCELLED)
      provider.WskReleaseProviderNPI(registration)
      // The client's functions are gone, its sockets are not.
      const late = await begin<wsk.WskBasicSocket>((irp) =>
        dispatch.WskSocket(client, wsk.AF_INET, 1, 6, 0, null, null, null, null, null, irp),
      ).outcome
      assert.equal(late.status, wsk.STATUS_DEVICE_NOT_READY)
      const bound = await begin<0>((irp) =>
        socket.dispatch.WskBind(socket, wsk.sockAddr('127.0.0.1', 0), 0, irp),
      ).outcome
      assert.equal(bound.status, wsk.STATUS_SUCCESS)
      await turns()
      assert.equal(over, false)
      await station.close(socket)
      await deregistered
      assert.equal(over, true)
    },
  )
})

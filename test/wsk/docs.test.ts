import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import * as face from '../../src/faces/wsk/index.ts'
import { IOCTLS, OPTIONS } from '../../src/faces/wsk/control-table.ts'
import { datagramDispatch, listenDispatch, streamDispatch } from '../../src/faces/wsk/dispatch-tables.ts'
import { providerDispatch } from '../../src/faces/wsk/provider-dispatch.ts'
import { STATUS, statusText } from '../../src/faces/wsk/status.ts'

function page(): string {
  let root = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(root, 'package.json'))) root = dirname(root)
  return readFileSync(join(root, 'docs/wsk.md'), 'utf8').replaceAll(/ +/g, ' ')
}

test('docs/wsk.md names every function, control operation and status, and why one is not supported', () => {
  const text = page()
  const has = (part: string): void => {
    assert.ok(text.includes(part), `docs/wsk.md lacks ${part}`)
  }
  for (const table of [listenDispatch, datagramDispatch, streamDispatch]) {
    for (const name of Object.keys(table)) has(`\`${name}\``)
  }
  for (const { name, unsupported } of [...OPTIONS.values(), ...IOCTLS.values()]) {
    has(
      unsupported === undefined ? `| \`${name}\`` : `| \`${name}\` | – | – | not supported: ${unsupported} |`,
    )
  }
  for (const [name, code] of Object.entries(STATUS)) {
    has(`| \`${name}\` | \`0x${code.toString(16).toUpperCase().padStart(8, '0')}\` | ${statusText(code)} |`)
  }
})

/** The types of `wsk.h`, which no table of ours has. */
const TYPES = [
  'WSK_BUF',
  'WSK_BUF_LIST',
  'WSK_CLIENT',
  'WSK_CLIENT_CONNECTION_DISPATCH',
  'WSK_CLIENT_DATAGRAM_DISPATCH',
  'WSK_CLIENT_DISPATCH',
  'WSK_CLIENT_LISTEN_DISPATCH',
  'WSK_CLIENT_NPI',
  'WSK_CLIENT_STREAM_DISPATCH',
  'WSK_DATAGRAM_INDICATION',
  'WSK_DATA_INDICATION',
  'WSK_EVENT_CALLBACK_CONTROL',
  'WSK_EXTENSION_CONTROL_IN',
  'WSK_EXTENSION_CONTROL_OUT',
  'WSK_INSPECT_ID',
  'WSK_PROVIDER_BASIC_DISPATCH',
  'WSK_PROVIDER_CHARACTERISTICS',
  'WSK_PROVIDER_CONNECTION_DISPATCH',
  'WSK_PROVIDER_DATAGRAM_DISPATCH',
  'WSK_PROVIDER_DISPATCH',
  'WSK_PROVIDER_LISTEN_DISPATCH',
  'WSK_PROVIDER_NPI',
  'WSK_PROVIDER_STREAM_DISPATCH',
  'WSK_REGISTRATION',
  'WSK_SOCKET',
  'WSK_TDI_MAP',
  'WSK_TDI_MAP_INFO',
  'WSK_TRANSPORT',
]
const CALLBACKS = [
  'Client',
  'Accept',
  'Inspect',
  'Abort',
  'Receive',
  'Disconnect',
  'SendBacklog',
  'ReceiveFrom',
]
const REGISTRATION = [
  'WskRegister',
  'WskDeregister',
  'WskCaptureProviderNPI',
  'WskReleaseProviderNPI',
  'WskQueryProviderCharacteristics',
]
/** Ours, which port nothing: the idiomatic layer is shown, not listed. */
const IDIOMATIC = ['Connection', 'Listener', 'WskApplication', 'createWsk', 'request']

test('docs/wsk.md says of every type, callback and number of wsk.h what it is here, and names all that is exported', () => {
  const text = page()
  const names = [
    ...TYPES,
    ...CALLBACKS.map((name) => `Wsk${name}Event`),
    ...REGISTRATION,
    ...Object.keys(providerDispatch),
    ...Object.keys(face).filter((name) => !IDIOMATIC.includes(name)),
  ]
  const missing = names.filter((name) => !new RegExp(`\`[^\`]*\\b${name}\\b`).test(text))
  assert.deepEqual(missing, [])
})

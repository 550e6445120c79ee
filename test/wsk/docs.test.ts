import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { IOCTLS, OPTIONS } from '../../src/faces/wsk/control-table.ts'
import { datagramDispatch, listenDispatch, streamDispatch } from '../../src/faces/wsk/dispatch-tables.ts'
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

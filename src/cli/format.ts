import Table from 'cli-table3'
import type { FabricDevice } from '../native/fabric.ts'
import type { SocketAddress } from '../spi/index.ts'
import { formatAddress } from '../spi/index.ts'

/** Into a pipe go bare columns, to a terminal a drawn table. */
const BARE = Object.fromEntries(
  ['top', 'bottom', 'mid', 'left', 'right']
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`, `mid-${side}`])
    .concat('middle')
    .map((name) => [name, name === 'middle' ? '  ' : '']),
)

export interface Column {
  readonly head: string
  readonly align?: 'left' | 'right'
}

/** Rows under headings, as text. */
export function drawTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ align = 'left' }) => align),
    style: { head: [], border: [], ...(!process.stdout.isTTY && { 'padding-left': 0, 'padding-right': 0 }) },
    ...(!process.stdout.isTTY && { chars: BARE }),
  })
  for (const row of rows) table.push([...row])
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

export function addressText(address: SocketAddress | undefined): string {
  return address === undefined ? '?' : formatAddress(address)
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${String(Math.round(bytes))} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 'B'
  for (const next of units) {
    if (value < 1024) break
    value /= 1024
    unit = next
  }
  return `${value.toFixed(1)} ${unit}`
}

/** Devices of a fabric, by name and address. */
export function deviceText(devices: readonly FabricDevice[]): string {
  return devices.map(({ name, address }) => `${name} (${address})`).join(', ') || 'nothing yet'
}

import assert from 'node:assert/strict'

import { wsaName } from '../src/spi/index.ts'
import type { Result, Status, WsaName } from '../src/spi/index.ts'
import type { Fixture } from './fixture.ts'

/** One test of the suite. */
export interface Check {
  /** What an exemption names: the clause number, or the whole title of a test without one. */
  readonly id: string
  readonly title: string
  readonly run: (fixture: Fixture) => void | Promise<void>
}

/** The test of a numbered clause of the interface. `title` begins with its number. */
export function clause(title: string, run: Check['run']): Check {
  return { id: title.slice(0, title.indexOf(' ')), title, run }
}

/** A test of odd arguments or calls that no clause numbers. `title` begins with the chapter and a colon. */
export function odd(title: string, run: Check['run']): Check {
  return { id: title, title, run }
}

export type StatusName = WsaName | 'success'

export function statusName(status: Status): StatusName {
  return status === 0 ? 'success' : wsaName(status)
}

export function assertStatus(actual: Status, expected: StatusName, what: string): void {
  assert.equal(statusName(actual), expected, `${what} answers ${statusName(actual)}, not ${expected}`)
}

/** For odd arguments whose error code the interface leaves open. */
export function assertRefused(actual: Status, what: string): void {
  const name = statusName(actual)
  assert.ok(
    name !== 'success' && name !== 'WSA_IO_PENDING' && name !== 'WSAEWOULDBLOCK',
    `${what} answers ${name}`,
  )
}

export function resultName(result: Result<unknown>): StatusName {
  return statusName(result.ok ? 0 : result.error)
}

export function assertFailure(result: Result<unknown>, expected: WsaName, what: string): void {
  assert.equal(resultName(result), expected, `${what} answers ${resultName(result)}, not ${expected}`)
}

/** The value of a call that must succeed. */
export function valueOf<T>(result: Result<T>, what: string): T {
  assert.ok(result.ok, `${what} answers ${resultName(result)}`)
  return result.value
}

import { setTimeout as delay } from 'node:timers/promises'

import { censusOf, leftovers } from '../support/census.ts'
import { eventually } from '../support/waiting.ts'
import { Audit } from './audit.ts'
import type { Report } from './audit.ts'
import { valueOf } from '../winsock/pair.ts'
import { computer } from './computer.ts'
import { listenQuietly } from './party.ts'
import type { Role, Scenario } from './party.ts'
import { play } from './play.ts'
import type { Stage } from './play.ts'

/** When a party's other one has ended, it has so long to end by itself before it is looked at. */
const FAREWELL_MS = 100
/** What is not over then is cut short at the client. */
const LIMIT_MS = 2000
/** So long anything may take that waits for a peer which is gone; longer than any patience of the switch. */
const HANG_MS = 12_000

/** Short patience, so that what has no peer any more ends soon. */
const IMPATIENT = {
  moveMs: 500,
  options: { connectTimeoutMs: 200, negotiationTimeoutMs: 400, judgementTimeoutMs: 2000 },
} as const

/**
 * Plays one role and reports what its sockets did. How the script ends does not matter: with faults below it may fail as any
 * application may. `over` says that the other party has ended: from then on nothing may wait for it for ever.
 */
export async function playAudited(scenario: Scenario, role: Role, stage: Stage): Promise<Report> {
  await (warm ??= warmUp())
  const before = censusOf()
  const audit = new Audit()
  const controller = new AbortController()
  const hangs: string[] = []
  const windUp = async (): Promise<void> => {
    const end = performance.now() + HANG_MS
    await delay(FAREWELL_MS)
    while (audit.waiting.length > 0 && performance.now() < end) await delay(5)
    hangs.push(...audit.waiting.map((what) => `a ${what} waits for a peer that is gone`))
    controller.abort(new Error('The other party has ended'))
  }
  const farewell = (): void => void windUp()
  if (stage.over.aborted) farewell()
  else stage.over.addEventListener('abort', farewell)
  const options = { ...IMPATIENT, ...stage.options }
  // Two scripts may wait for each other, where a fault has made one of them miss its cue.
  const limit =
    role === 'client'
      ? setTimeout(() => {
          controller.abort(new Error('It takes too long'))
        }, LIMIT_MS)
      : undefined
  const failure = await play(scenario, role, { ...stage, options, over: controller.signal }).then(
    () => undefined,
    (error: unknown) => error,
  )
  clearTimeout(limit)
  stage.over.removeEventListener('abort', farewell)
  const complaints = [...hangs]
  if (isBug(failure)) complaints.push(failure.stack ?? failure.message)
  await settled(() => audit.isSettled)
  await settled(() => leftovers(before, censusOf()).length === 0)
  complaints.push(...leftovers(before, censusOf()))
  const report = audit.close()
  return { ...report, complaints: [...complaints, ...report.complaints] }
}

/** Waits for a state that is to come; that it did not is the caller's to say. */
async function settled(check: () => boolean): Promise<void> {
  await eventually(check, 5000, () => 'it').catch(() => undefined)
}

/** What no fault of a provider excuses: an invariant that broke, or a type that was not what it said. */
function isBug(failure: unknown): failure is Error {
  return (
    failure instanceof TypeError ||
    failure instanceof RangeError ||
    (failure instanceof Error && failure.name === 'InvariantError')
  )
}

let warm: Promise<void> | undefined

/** More than any party has computers. */
const COMPUTERS = 26

/**
 * Lets as many providers as a play may need be used once: what a process or a provider makes at first use and keeps, as its
 * poller, is there when descriptors are counted.
 */
async function warmUp(): Promise<void> {
  const computers = Array.from({ length: COMPUTERS }, () => computer({ name: 'shm' }, IMPATIENT))
  for (const { winsock } of computers) {
    const listener = listenQuietly({}, winsock)
    const client = valueOf(winsock.socket())
    await Promise.all([listener.blocking.accept(), client.blocking.connect(valueOf(listener.getsockname()))])
  }
  for (const each of computers) each.end()
  await settled(() => censusOf().names.length === 0)
}

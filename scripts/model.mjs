// Checks the models of the doorbell protocol with spin: properties must hold, mutations must be caught.
// `npm run model -- <words>` runs only the checks whose name has these words and prints counterexamples.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const models = join(dirname(fileURLToPath(import.meta.url)), '..', 'models')
const timeoutMs = 300_000
const memoryMiB = 2048
const maxDepth = 2_000_000
const shownSteps = 120

const twoWriters = 'WRITERS=2 READY_CREDIT RING_BYTES=2'
const oneByte = 'RING_BYTES=1'
const twoBytes = 'RING_BYTES=2'
const sharedLink = 'CONNECTIONS=2 READY_CREDIT RING_BYTES=2'
const wrapLater = 'CONNECTIONS=2 READY_CREDIT NOTIFY_MODULUS=8'

const doorbell = (name, defines, claim) => ({ model: 'doorbell', name, defines, claim })
const growth = (name) => ({ model: 'ring-growth', name, defines: '' })
const lost = (mutation, defines, name) => ({
  ...doorbell(name, `${defines} MUTATION=${mutation}`),
  caughtAs: 'invalid end state',
})
const wrong = (mutation, name) => ({
  ...growth(name),
  defines: `MUTATION=${mutation}`,
  caughtAs: 'assertion violated',
})

// A check without `claim` looks for deadlocks (a lost wake-up is one) and failed assertions.
const checks = [
  doorbell('two writers, one sleeper: nothing lost, nothing overrun', twoWriters),
  doorbell('two writers, one sleeper: bytes are always noticed', `${twoWriters} OTHER_EVENTS=0`, 'heard'),
  doorbell('ring of one byte, credit: nothing lost, nothing overrun', oneByte),
  doorbell('ring of two bytes, credit: nothing lost, nothing overrun', twoBytes),
  doorbell('ring of two bytes, credit: bytes are always noticed', twoBytes, 'heard'),
  doorbell('ring of two bytes, credit: a blocked writer always gets credit', twoBytes, 'credited'),
  doorbell('two connections on a link: nothing lost, nothing overrun', sharedLink),
  doorbell('two connections on a link, cursors wrap later', wrapLater),
  doorbell('two connections on a link: bytes are always noticed', sharedLink, 'heard'),
  growth('ring growth: no freed ring is read, no announcements are mixed'),

  lost('NO_RECHECK', twoWriters, 'reader sleeps without looking again'),
  lost('RECHECK_BEFORE_SLEEPING', twoWriters, 'reader looks again before it sets sleeping (no fence)'),
  lost('NOTIFY_CONSUMED_LATE', twoWriters, 'reader stores notifyConsumed after processing'),
  lost(
    'SLEEPING_BEFORE_NOTIFY',
    twoWriters,
    'writer loads sleeping before it stores notifyProduced (no fence)',
  ),
  lost(
    'PENDING_BEFORE_PRODUCED',
    twoWriters,
    'writer loads notifyConsumed before it stores produced (no fence)',
  ),
  lost('SAME_EPOCH', twoWriters, 'reader sleeps again in the same epoch'),
  lost('PENDING_BY_POSITION', sharedLink, 'pending is notifyPos >= notifyConsumed alone'),
  lost('PENDING_BY_POSITION', wrapLater, 'the same, cursors wrap later'),
  lost('NO_BLOCKED_RECHECK', oneByte, 'writer waits for credit without looking again'),
  lost('BLOCKED_BEFORE_CONSUMED', oneByte, 'reader loads blocked before it stores consumed (no fence)'),
  lost('UNBLOCK_WITHOUT_RETRY', oneByte, 'writer clears blocked on any wake-up'),
  wrong('NO_ADOPTED_CHECK', 'second ring switch without comparing adoptedGen'),
  wrong('FREE_BEFORE_ADOPTED', 'old ring freed without comparing adoptedGen'),
  wrong('ADOPT_BEFORE_CONSUMED', 'ring adopted before the old one is consumed up to ringStart'),
  wrong('RING_GEN_BEFORE_FIELDS', 'ringGen stored before ringId, ringBytes and ringStart'),
  wrong('PRODUCED_BEFORE_RING_GEN', 'produced stored before ringGen'),
  wrong('RING_GEN_LOADED_BEFORE_PRODUCED', 'ringGen loaded before produced'),
]

const stop = new AbortController()
const execute = promisify(execFile)

async function run(command, args, cwd) {
  const options = { cwd, timeout: timeoutMs, maxBuffer: 64 << 20, signal: stop.signal }
  try {
    return (await execute(command, args, options)).stdout
  } catch (error) {
    if (error.code === 'ENOENT') {
      throw new Error(`'${command}' is not installed; on Debian and Ubuntu: apt-get install spin gcc`)
    }
    if (error.killed) throw new Error(`'${command}' was stopped after ${timeoutMs / 1000} s`)
    throw new Error(
      `'${command}' failed: ${`${error.stdout ?? ''}${error.stderr ?? ''}`.trim() || error.message}`,
    )
  }
}

/** Returns what spin says about one check, and the counterexample where it has one. */
async function search({ model, defines, claim, caughtAs }, folder) {
  const source = `${model}.pml`
  const flags = defines
    .split(' ')
    .filter(Boolean)
    .map((define) => `-D${define}`)
  copyFileSync(join(models, source), join(folder, source))
  await run('spin', [...flags, '-a', source], folder)

  // Breadth first, for mutations: the shortest way to go wrong is the one worth reading.
  const order = caughtAs === undefined ? [] : ['-DBFS']
  const kind = claim === undefined ? ['-DSAFETY', '-DNOCLAIM', ...order] : []
  await run('cc', ['-O1', '-w', `-DMEMLIM=${memoryMiB}`, ...kind, '-o', 'pan', 'pan.c'], folder)

  // -a -f: cycles in which the claim never comes true, though every process that can take a step takes one.
  const goal = claim === undefined ? [] : ['-a', '-f', '-N', claim]
  const report = await run('./pan', [`-m${maxDepth}`, ...goal], folder)

  const error = /^pan:1: (.*)$/m.exec(report)?.[1]
  const states = Number(/([\d.e+]+) states, stored/.exec(report)?.[1])
  const complete = /errors: 0$/m.test(report) && !/search not completed|too small|-DMEMLIM/i.test(report)
  if (error === undefined) return { complete, states, error: complete ? undefined : 'search not completed' }
  return { error, states, trail: await run('spin', [...flags, '-t', '-p', source], folder) }
}

/** Tells spin's trail in the model's own lines: which process took which step. */
function readable(model, trail) {
  const source = readFileSync(join(models, `${model}.pml`), 'utf8').split('\n')
  const steps = []
  // Breadth first, spin ends the trail with a step that could not be taken.
  const taken = trail.replace(/\n[^\n]*\n\s*transition failed[^]*/, '')
  for (const line of taken.split('\n')) {
    const step = /proc +(\d+) \((reader|writer):\d+\) \S+?:(\d+) \(state \d+\)\s+\[/.exec(line)
    if (line.includes('START OF CYCLE')) steps.push('          for ever:')
    if (step === null) continue
    const [, id, role, number] = step
    const text = `          ${role} ${id}  ${number.padStart(3)}  ${source[number - 1].trim()}`
    if (text !== steps.at(-1)) steps.push(text)
  }
  const left = steps.length - shownSteps
  return left > 0 ? [`          (${left} steps before)`, ...steps.slice(-shownSteps)] : steps
}

/** Returns the lines to print for one check, and whether spin said what it must say. */
function judge({ model, name, caughtAs }, { error, complete, states, trail }, seconds, explain) {
  const cost = `${states.toLocaleString('en').padStart(10)} states ${seconds.toFixed(1).padStart(5)} s`
  const line = (word, text) => `${word.padEnd(7)} ${text.padEnd(76)} ${cost}`
  const counterexample = trail === undefined ? [] : readable(model, trail)
  if (caughtAs === undefined) {
    if (complete) return { good: true, lines: [line('ok', name)] }
    return { good: false, lines: [line('FAILED', name), `          ${error}`, ...counterexample] }
  }
  if (error?.startsWith(caughtAs)) {
    return { good: true, lines: [line('caught', name), ...(explain ? counterexample : [])] }
  }
  return {
    good: false,
    lines: [line('MISSED', name), `          ${error ?? 'no error found'}`, ...counterexample],
  }
}

async function check(item, explain) {
  const folder = mkdtempSync(join(tmpdir(), 'sockswitch-model-'))
  const started = performance.now()
  try {
    const result = await search(item, folder)
    return judge(item, result, (performance.now() - started) / 1000, explain)
  } catch (error) {
    return { good: false, lines: [`FAILED  ${item.name}`, `          ${error.message}`] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Prints checks as they end and returns how many were not as they must be. */
async function checkAll(chosen, explain) {
  const queue = [...chosen]
  let bad = 0
  const work = async () => {
    for (let item = queue.shift(); item !== undefined && !stop.signal.aborted; item = queue.shift()) {
      const { good, lines } = await check(item, explain)
      if (stop.signal.aborted) return
      if (!good) bad++
      console.log(lines.join('\n'))
    }
  }
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work))
  return bad
}

async function main(words) {
  const started = performance.now()
  const version = (await run('spin', ['-V'])).trim()
  await run('cc', ['--version'])
  const chosen = checks.filter(({ name }) => name.includes(words))
  if (chosen.length === 0) throw new Error(`no check has '${words}' in its name`)
  const bad = await checkAll(chosen, words !== '')
  if (stop.signal.aborted) throw new Error('interrupted')
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  const verdict = bad === 0 ? 'all as they must be' : `${bad} not as they must be`
  console.log(`model: ${chosen.length} checks, ${verdict}, ${seconds} s, ${version}`)
  if (bad > 0) process.exitCode = 1
}

for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())
try {
  await main(process.argv.slice(2).join(' '))
} catch (error) {
  console.error(`Cannot check the models: ${error.message}`)
  process.exitCode = 1
}

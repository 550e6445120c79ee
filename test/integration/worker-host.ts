/** Runs `actor` as a worker; what it is told to `terminate` or `retire` it does to the worker, the rest it passes on. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'
import { beside } from '../support/app.ts'

const worker = new Worker(beside(import.meta.url, 'actor'))
const say = (message: unknown): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
worker.on('message', say)
worker.on('exit', (code) => {
  say({ event: 'worker-exit', code })
})

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as Readonly<Record<string, unknown>>
    const done = (): void => {
      say({ id: order['id'] })
    }
    if (order['command'] === 'terminate') void worker.terminate().then(done)
    else if (order['command'] === 'retire') {
      void once(worker, 'exit').then(done)
      worker.postMessage({ command: 'exit', code: 0 })
    } else worker.postMessage(order)
  })
  .on('close', () => process.exit(3))

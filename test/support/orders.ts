import { createInterface } from 'node:readline'

type Order = Readonly<Record<string, unknown>>

/** What a program under test can be told to do, by name; each answers with what it says then. */
export type Orders = Readonly<Record<string, (order: Order) => object | Promise<object>>>

/** What a program under test has, by the keys that its orders give it. */
export class Kept<T> extends Map<unknown, T> {
  the(key: unknown): T {
    const kept = this.get(key)
    if (kept === undefined) throw new Error(`Cannot find ${String(key)}: nothing was kept by that key`)
    return kept
  }
}

/** Does what lines of JSON on stdin say, and answers each by its `id`: the other side of `Program.ask`. */
export function obey(orders: Orders): void {
  const answer = (id: unknown, what: object): void => {
    process.stdout.write(`${JSON.stringify({ id, ...what })}\n`)
  }
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const order = JSON.parse(line) as Order
      const { id, command } = order
      // eslint-disable-next-line @typescript-eslint/require-await -- what throws at once is an answer, too
      const doing = (async () => orders[command as string]?.(order) ?? { error: 'there is no such order' })()
      doing.then(
        (what) => {
          answer(id, what)
        },
        (error: unknown) => {
          answer(id, { error: (error as Error).message })
        },
      )
    })
    .on('close', () => process.exit(3))
}

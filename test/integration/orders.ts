/** A program that does what it is told on stdin, an order a line, and answers on stdout. */
import { onHeard, say, stay } from '../support/app-side.ts'

export type Order = Readonly<Record<string, unknown>>
export type Orders = Readonly<Record<string, (order: Order) => Promise<object>>>

/** Does `orders` until whoever gives them is gone; then, and whenever else the program ends, calls `end`. */
export function obey(orders: Orders, end: () => void): void {
  onHeard((order) => {
    const done = (answer: object): void => {
      say({ id: order['id'], ...answer })
    }
    orders[order['command'] as string]?.(order).then(done, (error: unknown) => {
      done({ error: String(error) })
    })
  })
  stay()
  process.on('exit', end)
  say({ event: 'ready' })
}

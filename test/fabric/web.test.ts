/** Web programs on two hosts, which nobody told of the switch: their requests go over the fabric, every byte of them. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { Program } from '../integration/program.ts'
import { REGISTER, beside } from '../support/app.ts'
import type { Message } from '../support/app.ts'
import { FABRIC_UNDER_TEST, noFabric } from '../support/fabric-provider.ts'
import { makeHosts } from './hosts.ts'
import type { Order } from './web.ts'

const WEB = beside(import.meta.url, './web')
const TIMEOUT_MS = 120_000
const IMPORTED = ['--import', pathToFileURL(REGISTER.replace(/\.cjs$/, '.mjs')).href]
const TOGETHER = 50

const hosts = noFabric() === false ? makeHosts() : noFabric()
const skip = typeof hosts === 'object' ? false : hosts
after(() => {
  if (typeof hosts === 'object') hosts.remove()
})

test(
  'unmodified HTTP programs on two hosts talk over the fabric',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    assert.ok(typeof hosts === 'object')
    const both = { execArgv: IMPORTED, env: { SOCKSWITCH_FABRIC: FABRIC_UNDER_TEST }, test: t }
    const server = new Program(WEB, {
      ...both,
      within: hosts.server.within,
      args: ['server', hosts.server.address],
    })
    const { port } = await server.event('listening')
    const args = ['client', hosts.server.address, String(port)]
    const client = new Program(WEB, { ...both, within: hosts.client.within, args })
    await client.event('ready')

    const ask = async (order: Omit<Order, 'id'>): Promise<Message> => {
      const answer = await client.ask('request', order)
      const { status, received, seenFrom } = answer
      assert.deepEqual(
        [status, received, seenFrom],
        [200, order.bytes, hosts.client.address],
        JSON.stringify(answer),
      )
      return answer
    }
    // The first connects may find libfabric or the link still coming up, and any may find a busy peer: those go over TCP/IP.
    const overTheFabric = async (order: Omit<Order, 'id'>): Promise<number> => {
      for (let { pool } = order; ; pool += Math.sign(pool)) {
        const answer = await ask({ ...order, pool })
        if (answer['switched'] === true) return pool
      }
    }
    for (const bytes of [0, 1, 4000, 1_000_000]) {
      for (const method of ['GET', 'POST'] as const) await overTheFabric({ method, bytes, pool: 0 })
    }
    const order = { method: 'POST', bytes: 200_000, pool: 1 } as const
    const pool = await overTheFabric(order)
    const again = await ask({ ...order, pool })
    assert.deepEqual([again['reused'], again['switched']], [true, true])
    const together = await Promise.all(Array.from({ length: TOGETHER }, () => ask({ ...order, pool })))
    t.diagnostic(
      `${together.filter(({ switched }) => switched === true).length} of ${TOGETHER} over the fabric`,
    )
    assert.equal(server.stderr + client.stderr, '')
  },
)

/** What libfabric brings into the process changes nothing of how a program ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Program } from '../integration/program.ts'
import { beside } from '../support/app.ts'
import { noFabric } from '../support/fabric-provider.ts'

const ACTOR = beside(import.meta.url, '../integration/actor')

for (const signal of ['SIGTERM', 'SIGINT', 'SIGABRT'] as const) {
  test(`${signal} ends a program with the fabric as it ends any other`, { skip: noFabric() }, async (t) => {
    const program = new Program(ACTOR, { env: { SOCKSWITCH_FABRIC: 'tcp' }, test: t })
    await program.event('ready')
    await program.ask('listen')
    program.kill(signal)
    assert.deepEqual(await program.exit(), { code: null, signal })
    assert.equal(program.stderr, '')
  })
}

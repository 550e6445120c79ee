// The same against the little server beside it and against Redis itself.
import { createHash } from 'node:crypto'
import { HOST, PORT, bytes, client, event, load } from './support.mjs'

const Redis = await load('ioredis')
const open = () => new Redis(PORT, HOST, { protocol: 2, retryStrategy: null })
const redis = open()

await client({
  async check(note) {
    await redis.flushall()
    note('ping', await redis.ping())
    note('set', await redis.set('name', 'välue'))
    note('get', [await redis.get('name'), await redis.get('none')])
    const large = bytes(1_000_000).toString('hex')
    await redis.set('large', large)
    note(
      'large',
      createHash('sha1')
        .update(await redis.get('large'))
        .digest('hex'),
    )
    note('mget', await redis.mget('name', 'none', 'name'))
    const pipeline = redis.pipeline()
    for (let at = 0; at < 1000; at += 1) pipeline.incr('counter')
    note('pipeline', (await pipeline.exec()).map(([, value]) => value).slice(-3))
    await redis.rpush('list', 'a', 'b', 'c')
    note('list', await redis.lrange('list', 0, -1))
    note('unknown', await redis.call('nonsense').catch((error) => error.message.split(',')[0].slice(0, 26)))
    const subscriber = open()
    await subscriber.subscribe('channel')
    const heard = event(subscriber, 'message')
    note('publish', await redis.publish('channel', 'text'))
    note('heard', await heard)
    subscriber.disconnect()
    await event(subscriber, 'end')
    note('end', subscriber.status)
    note('many', (await Promise.all(Array.from({ length: 500 }, () => redis.get('name')))).length)
  },
  operation: () => redis.get('name'),
  lanes: 4,
  close: () => redis.quit(),
})

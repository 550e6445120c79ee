import { createHash } from 'node:crypto'
import { HOST, PORT, bytes, client, event, load } from './support.mjs'

const pg = await load('pg')
const options = {
  host: HOST,
  port: PORT,
  user: 'postgres',
  database: 'postgres',
}
const pool = new pg.Pool({ ...options, max: 4 })

await client({
  async check(note) {
    const { rows } = await pool.query('select 1 + $1::int as sum, $2 as text', [41, 'ünd'])
    note('query', rows)
    await pool.query('drop table if exists things; create table things (id serial primary key, data bytea)')
    for (const length of [0, 1, 100_000, 2_000_000])
      await pool.query('insert into things (data) values ($1)', [bytes(length)])
    const things = await pool.query('select data from things order by id')
    note(
      'bytea',
      things.rows.map(({ data }) => createHash('sha1').update(data).digest('hex')),
    )
    note('error', await pool.query('select nonsense').catch(({ code, routine }) => ({ code, routine })))
    const many = await pool.query('select generate_series(1, 20000) as n')
    note('rows', [many.rowCount, many.rows.at(-1)])
    const one = await pool.connect()
    await one.query('begin')
    await one.query('delete from things')
    await one.query('rollback')
    one.release()
    note('rolled back', (await pool.query('select count(*) from things')).rows)
    const listener = new pg.Client(options)
    await listener.connect()
    await listener.query('listen news')
    const heard = event(listener, 'notification')
    await pool.query("notify news, 'text'")
    note('notification', (await heard).payload)
    await listener.end()
    const prepared = { name: 'prepared', text: 'select $1::text as text' }
    note(
      'prepared',
      (await Promise.all(Array.from({ length: 50 }, (_, at) => pool.query(prepared, [String(at)])))).length,
    )
  },
  operation: () => pool.query('select 1'),
  lanes: 4,
  close: () => pool.end(),
})

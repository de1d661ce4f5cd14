// N GETs by undici, AT_ONCE at a time. Prints the figures that http_work.lua prints.
//   undici_get.js pool|fetch URL N AT_ONCE     its pool, or the fetch of Node, which is made of it
//   undici_get.js pool|fetch                   says which it is
'use strict'

const [how, url, n, atOnce] = process.argv.slice(2)

const ways = {
  pool () {
    const { Pool } = require('undici')
    const pool = new Pool(new URL(url).origin, { connections: Number(atOnce), pipelining: 1 })
    const options = { path: new URL(url).pathname, method: 'GET' }
    return async () => {
      const { statusCode, body } = await pool.request(options)
      if (statusCode !== 200) throw new Error(`status ${statusCode}`)
      return (await body.text()).length
    }
  },
  fetch () {
    return async () => {
      const response = await fetch(url)
      if (response.status !== 200) throw new Error(`status ${response.status}`)
      return (await response.text()).length
    }
  }
}

function version () {
  if (how === 'fetch') return `fetch of Node ${process.versions.node} (undici ${process.versions.undici})`
  return `undici ${require('undici/package.json').version}, its pool`
}

async function main () {
  const get = ways[how]()
  let left = Number(n)
  let bytes = 0
  async function worker () {
    while (left > 0) {
      left--
      const size = await get()
      bytes += size
    }
  }
  const before = process.hrtime.bigint()
  await Promise.all(Array.from({ length: Number(atOnce) }, worker))
  const seconds = Number(process.hrtime.bigint() - before) * 1e-9
  const { user, system } = process.cpuUsage()
  console.log(`cpu ${(user + system) / n}\nrate ${n / seconds}\nbytes ${bytes}`)
  process.exit(0)
}

if (url) main()
else console.log(version())

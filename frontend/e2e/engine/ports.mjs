import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'

// Says something to an address, and returns the answer.
async function say(host, port, text) {
  const socket = connect(port, host)
  socket.end(text)
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(60_000) })
  return String(answer)
}

export async function ports({ page, docker, show, button, confirm, look }) {
  const bindings = ['-p', '127.0.0.1::7', '-p', '0.0.0.0::7']
  docker('run', '-d', '--name', 'server', ...bindings, '--stop-timeout', '1', 'box', 'echo')
  const [inner, outer] = ['127.0.0.1', '0.0.0.0'].map((ip) => {
    const published = docker('inspect', '--format', '{{json (index .NetworkSettings.Ports "7/tcp")}}', 'server')
    return JSON.parse(published).find((p) => p.HostIp === ip).HostPort
  })
  await show('#/ports')
  const of = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'server', exact: true }) })
  const at = (address) => of.filter({ has: page.getByRole('button', { name: `Copy ${address}`, exact: true }) })
  await at(`127.0.0.1:${inner}`).getByText('Forwarded').waitFor()
  assert.equal(await say('127.0.0.1', inner, 'hello'), 'hello')

  const { address } = Object.values(networkInterfaces())
    .flat()
    .find((i) => i.family === 'IPv4' && !i.internal)
  await at(`0.0.0.0:${outer}`).getByText('Not permitted').waitFor()
  await assert.rejects(say(address, outer, 'hello'), { code: 'ECONNREFUSED' })
  await look('ports')
  await button('Allow 0.0.0.0…').click()
  await confirm('Allow ports at 0.0.0.0?', 'Allow')
  await at(`0.0.0.0:${outer}`).getByText('Forwarded').waitFor()
  assert.equal(await say(address, outer, 'hello'), 'hello')
  await assert.rejects(say(address, inner, 'hello'), { code: 'ECONNREFUSED' })
  docker('rm', '-f', 'server')
}

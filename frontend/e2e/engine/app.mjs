// The engine's start, its settings and its stop.
import assert from 'node:assert/strict'
import { call, gone } from '../scenarios.mjs'
import { desk } from './desk.mjs'

const GiB = 1024 ** 3
const card = (page) => page.getByRole('region', { name: 'Container engine' })

export async function start({ page, shots }) {
  const welcome = page.getByRole('dialog', { name: 'Welcome to RDD' })
  const engine = card(page)
  if ((await call(page, 'state')).settings.firstRunDone) {
    await engine.getByText('Running', { exact: true }).waitFor()
    return 'not the first run of this instance'
  }
  await welcome.getByLabel('Memory', { exact: true }).fill('3')
  await welcome.getByRole('button', { name: 'Start', exact: true }).click()
  await gone(welcome)
  await engine.getByRole('progressbar').waitFor()
  await engine.getByText('Running', { exact: true }).waitFor()
  const { app } = await call(page, 'state')
  assert.equal(app.settings.memory, 3 * GiB)
  const { docker, look } = await desk(page, shots) // which finds the engine only now
  const memory = Number(docker('info', '--format', '{{.MemTotal}}')) / GiB
  assert.ok(memory > 2.5 && memory <= 3, `the guest has ${memory} GiB`)
  docker('import', '--change', 'ENTRYPOINT ["/box"]', process.env.RDD_BOX, 'box')
  await look('overview')
}

export async function stop({ page, show, shot, button }) {
  await show('#/settings/engine')
  const cpus = page.getByLabel('Processors', { exact: true })
  const before = await cpus.inputValue()
  const other = before === '1' ? '2' : '1'
  await cpus.fill(other)
  await page.getByText('The virtual machine is restarted to apply').waitFor()
  await button('Apply and restart').waitFor()
  await button('Revert').click()
  await gone(button('Apply and restart'))

  await show('#/overview')
  const engine = card(page)
  await engine.getByRole('button', { name: 'Stop', exact: true }).click()
  await engine.getByText('Stopped', { exact: true }).waitFor()
  await shot('stopped')

  await show('#/settings/engine')
  await cpus.fill(other)
  await page.getByText('They take effect at the next start.').waitFor()
  await button('Apply').click()
  await gone(page.getByRole('heading', { name: 'Changes' }))
  assert.equal((await call(page, 'state')).app.settings.cpus, Number(other))
}

import assert from 'node:assert/strict'
import { gone } from '../scenarios.mjs'

export async function containers({ page, docker, show, shot, row, button, look }) {
  docker('run', '-d', '--name', 'web', '-v', '/kept', '-p', '127.0.0.1::7', '--stop-timeout', '1', 'box', 'echo')
  docker('run', '--name', 'logged', 'box', 'log')
  const port = docker('port', 'web', '7').split(':').at(-1)

  await show('#/containers')
  await row('web').getByText('Running').waitFor()
  await row('web').getByText(`${port}:7`).waitFor()
  await row('web')
    .getByText(/[MK]iB$/)
    .waitFor()
  await row('logged').getByText('Stopped').waitFor()
  await look('containers')
  await row('logged').getByRole('link', { name: 'logged' }).click()
  await page.getByText('out 3').first().waitFor()
  await page.getByText('err 3').first().waitFor()
  await shot('logs')

  const id = docker('inspect', '--format', '{{.Id}}', 'web')
  await show(`#/containers/${id}/files`)
  await page.getByText('kept', { exact: true }).first().waitFor()
  await shot('files')
  await show(`#/containers/${id}/inspect`)
  await page.getByText(id).first().waitFor()

  await show(`#/containers/${id}/stats`)
  const processes = page.getByRole('definition').and(page.locator('dt:text("Processes") + dd'))
  await processes.waitFor()
  assert.ok(Number(await processes.textContent()) >= 1, await processes.textContent())
  await page
    .getByText(/^[\d.]+ [MK]iB of [\d.]+ GiB$/)
    .first()
    .waitFor()
  await shot('stats')

  await show(`#/containers/${id}/shell`)
  const shell = page.getByRole('region', { name: 'Shell in web' })
  await shell.getByText(/executable file not found/).waitFor() // the image has no shell
  await page.getByLabel('Command', { exact: true }).fill('/box talk')
  await button('Open').click()
  await page.waitForFunction(() => document.activeElement?.matches('.xterm-helper-textarea'))
  await page.keyboard.type('good day\n')
  await shell.getByText('heard good day').waitFor() // an echo of the input does not contain the answer
  await shot('shell')
  await page.keyboard.press('Control+d')
  await shell.getByRole('button', { name: 'New shell' }).waitFor()

  await show('#/containers')
  await row('web').getByRole('button', { name: /^Stop/ }).click()
  await row('web')
    .getByText(/^Exited/)
    .waitFor()
  assert.equal(docker('inspect', '--format', '{{.State.Running}}', 'web'), 'false')
  docker('rm', '-v', 'web', 'logged')
}

export async function many({ page, docker, show, row, button, select, confirm, result }) {
  for (const name of ['one', 'two', 'three', 'four'])
    docker('create', '--name', name, '--stop-timeout', '1', 'box', 'wait')
  const names = (...filters) =>
    docker('ps', '-a', '--format', '{{.Names}}', ...filters)
      .split('\n')
      .sort()
  await show('#/containers')
  const chosen = page.getByRole('group', { name: 'Selected containers' })
  const press = (verb) => chosen.getByRole('button', { name: verb, exact: true }).click()

  await select('one', 'two')
  await press('Start')
  await row('one').getByText('Running').waitFor()
  await row('two').getByText('Running').waitFor()
  assert.deepEqual(names('--filter', 'status=running'), ['one', 'two'])

  await page.getByRole('checkbox', { name: 'Select one', exact: true }).uncheck()
  await select('three') // which has never run
  await press('Stop')
  await row('two')
    .getByText(/^(Exited|Stopped)/)
    .waitFor()
  assert.deepEqual(names('--filter', 'status=running'), ['one'])
  await press('Delete…')
  await confirm('Delete 2 containers?', 'Delete')
  await gone(row('two'))
  await gone(row('three'))
  assert.deepEqual(names(), ['four', 'one'])

  await button('Delete stopped…').click()
  await confirm('Delete stopped containers?', 'Delete')
  await result(/./, /1 .*deleted/)
  await gone(row('four'))
  assert.deepEqual(names(), ['one'])
  docker('rm', '-f', 'one')
}

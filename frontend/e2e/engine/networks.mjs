import assert from 'node:assert/strict'
import { gone } from '../scenarios.mjs'

export async function networks({ page, docker, names, show, row, button, dialog, confirm, result, refused, look }) {
  await show('#/networks')
  await row('none').waitFor()
  await button('New network').click()
  await dialog('New network', { Name: 'made', Subnet: '10.77.0.0/99' }, 'Create')
  await page.getByRole('dialog').locator('[aria-invalid=true]').waitFor()
  await refused()
  await dialog('New network', { Subnet: '10.77.0.0/24' }, 'Create')
  await row('made').getByText('10.77.0.0/24').waitFor()
  assert.equal(docker('network', 'inspect', '--format', '{{(index .IPAM.Config 0).Subnet}}', 'made'), '10.77.0.0/24')
  await look('networks')

  docker('network', 'create', 'idle')
  docker('run', '-d', '--name', 'user', '--network', 'made', 'box', 'wait')
  await row('made').getByText('user').waitFor()
  await row('idle').waitFor()
  await button('Delete unused…').click()
  await confirm('Delete unused networks?', 'Delete')
  await result(/./, /1 deleted/)
  await gone(row('idle'))
  assert.deepEqual(names('network', 'ls').sort(), ['bridge', 'host', 'made', 'none'])

  docker('rm', '-f', 'user')
  await gone(row('made').getByText('user'))
  await button('Delete made').click()
  await confirm('Delete network made?', 'Delete')
  await gone(row('made'))
  assert.deepEqual(names('network', 'ls').sort(), ['bridge', 'host', 'none'])
}

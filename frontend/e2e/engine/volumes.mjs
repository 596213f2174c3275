import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gone } from '../scenarios.mjs'

export async function volumes({
  page,
  shots,
  docker,
  names,
  show,
  row,
  button,
  dialog,
  confirm,
  result,
  refused,
  look,
}) {
  await show('#/volumes')
  await button('New volume').click()
  await dialog('New volume', { Name: 'no good' }, 'Create')
  await page.getByRole('dialog').locator('[aria-invalid=true]').waitFor()
  await refused()
  await dialog('New volume', { Name: 'made' }, 'Create')
  await row('made').waitFor()
  assert.ok(names('volume', 'ls').includes('made'))
  const dir = mkdtempSync(join(shots, 'volumes'))
  mkdirSync(join(dir, 'deep'))
  writeFileSync(join(dir, 'deep', 'note'), 'hello')
  docker('create', '--name', 'writer', '-v', 'made:/made', 'box', 'wait')
  docker('cp', `${dir}/.`, 'writer:/made')
  docker('rm', 'writer')
  await look('volumes')

  await show('#/volumes/made')
  await page.getByRole('region', { name: 'Files of made' }).getByRole('button', { name: 'deep' }).first().click()
  await button('Download note').click()
  const saved = page.getByRole('status').filter({ hasText: 'Saved as' }).locator('code')
  const path = await saved.textContent()
  assert.equal(readFileSync(path, 'utf8'), 'hello')
  rmSync(path)
  await look('volume')
  await button('Delete…').click()
  await confirm('Delete volume made?', 'Delete')
  await page.getByRole('heading', { name: 'Volumes' }).waitFor()
  await gone(row('made'))
  assert.ok(!names('volume', 'ls').includes('made'))

  docker('volume', 'create', 'idle')
  docker('create', '--name', 'user', '-v', 'used:/used', '-v', '/nameless', 'box', 'wait')
  await row('idle').waitFor()
  await row('used').getByText('user').waitFor()
  await button('Delete unused…').click()
  await confirm('Delete unused volumes?', 'Delete', /with a name/)
  await result(/./, /deleted/)
  await gone(row('idle'))
  const left = names('volume', 'ls')
  assert.ok(left.includes('used') && !left.includes('idle'), left.join())
  docker('rm', '-v', 'user')
  docker('volume', 'rm', 'used')
}

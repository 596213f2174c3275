import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gone } from '../scenarios.mjs'

export async function images({ page, shots, docker, show, row, button, dialog, confirm, result, done, refused, look }) {
  const dir = mkdtempSync(join(shots, 'images'))
  const missing = (tag) => assert.equal(docker('images', '-q', tag), '', `${tag} is still there`)
  await show('#/images')
  await row('box:latest').waitFor()
  await look('images')

  await button('Tag box:latest').click()
  await dialog('Tag box:latest', { 'New tag': 'Box:2' }, 'Tag')
  await page.getByRole('dialog').locator('[aria-invalid=true]').waitFor()
  await refused()
  await dialog('Tag box:latest', { 'New tag': 'box:2' }, 'Tag')
  await row('box:2').waitFor()
  assert.equal(docker('images', '-q', 'box:2'), docker('images', '-q', 'box:latest'))

  writeFileSync(join(dir, 'Dockerfile'), 'FROM box\nARG SIZE\nLABEL size=$SIZE\nCOPY . /src/\n')
  writeFileSync(join(dir, '.dockerignore'), 'left\n')
  writeFileSync(join(dir, 'left'), '')
  writeFileSync(join(dir, 'note'), 'hello')
  await button('Build…').click()
  const form = page.getByRole('dialog', { name: 'Build an image' })
  await form.getByText('More options').click()
  await form.getByRole('button', { name: 'Add argument' }).click()
  await form.getByLabel('Value of argument 1').fill('large')
  await form.getByLabel('Name of argument 1').fill('SIZE')
  await dialog('Build an image', { Folder: dir, Tag: 'built:1' }, 'Build')
  await row('built:1').waitFor()
  assert.equal(docker('inspect', '--format', '{{.Config.Labels.size}}', 'built:1'), 'large')
  docker('create', '--name', 'made', 'built:1')
  docker('cp', 'made:/src', join(dir, 'copy'))
  docker('rm', 'made')
  assert.equal(readFileSync(join(dir, 'copy', 'note'), 'utf8'), 'hello')
  assert.throws(() => readFileSync(join(dir, 'copy', 'left')), { code: 'ENOENT' })

  writeFileSync(join(dir, 'Dockerfile'), 'FROM box\nCOPY absent /\n')
  await button('Build…').click()
  await dialog('Build an image', { Folder: dir, Tag: 'built:2' }, 'Build')
  await result(/^Build/, /COPY failed.*absent|absent.*not found/)
  missing('built:2')

  await row('built:1').getByRole('link').click()
  await button('Save…').click()
  const archive = join(dir, 'built.tar')
  await dialog('Save built:1', { File: archive }, 'Save')
  await done('Save')
  await button('Delete…').click()
  await confirm('Delete image built:1?', 'Delete')
  await row('box:2').waitFor() // the list
  await gone(row('built:1'))
  missing('built:1')
  await button('Load…').click()
  await dialog('Load images', { Archive: archive }, 'Load')
  await result(/./, '1 loaded.')
  await row('built:1').waitFor()
  assert.equal(docker('inspect', '--format', '{{.Config.Labels.size}}', 'built:1'), 'large')

  docker('import', process.env.RDD_BOX)
  await page.getByText('no tag').waitFor()
  await button('Prune…').click()
  await confirm('Prune', 'Prune')
  await result(/./, /^1 /)
  await gone(page.getByText('no tag'))
  assert.equal(docker('images', '-q', '--filter', 'dangling=true'), '')

  docker('rmi', 'box:2', 'built:1')
}

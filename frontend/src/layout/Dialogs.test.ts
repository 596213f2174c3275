import { cleanup, screen } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { show } from '../testing/render'

afterEach(cleanup)

test('a refused action is shown with its remedy', async () => {
  const { fake, ui } = show()
  fake.refusals['vm.start'] = { kind: 'rejected', message: 'the disk is locked', advice: 'Restart the service.' }
  await ui.act('start web', () => fake.call('vm.start', { name: 'web' }))
  const dialog = await screen.findByRole('alertdialog', { name: 'Could not start web' })
  expect(dialog.textContent).toContain('Restart the service.')
})

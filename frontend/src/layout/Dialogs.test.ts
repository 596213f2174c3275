import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import Images from '../images/Images.svelte'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'

afterEach(cleanup)

test('a refused action is shown with its remedy', async () => {
  const { fake, ui } = show()
  fake.refusals['vm.start'] = { kind: 'rejected', message: 'the disk is locked', advice: 'Restart the service.' }
  await ui.act('start web', () => fake.call('vm.start', { name: 'web' }))
  const dialog = await screen.findByRole('alertdialog', { name: 'Could not start web' })
  expect(dialog.textContent).toContain('Restart the service.')
})

// Begins to fill in a dialog of a page.
async function typing(pace: number) {
  const shown = show(new Fake('usual', pace), Images)
  await press('Load…')
  const field = await screen.findByLabelText<HTMLInputElement>('Archive')
  await fireEvent.input(field, { target: { value: '/tmp/images' } })
  return { ...shown, field, undisturbed: () => field.value === '/tmp/images' && document.activeElement === field }
}

test('the progress of an operation does not open over a dialog that is being filled in', async () => {
  const { fake, store, ui, undisturbed } = await typing(3_600_000) // it never ends
  const { operation } = (await ui.act('start web', () => fake.call('vm.start', { name: 'old-debian' })))!
  ui.show(operation)
  await waitFor(() => expect(store.operation(operation)).toBeDefined())
  expect(screen.getAllByRole('dialog')).toHaveLength(1)
  expect(undisturbed()).toBe(true)
  await press('Cancel')
  await screen.findByRole('dialog', { name: 'Start virtual machine old-debian' })
})

test('a question does not open over a dialog that is being filled in', async () => {
  const { fake, store, ui, undisturbed } = await typing(1)
  await ui.act('start slow', () => fake.call('vm.start', { name: 'slow' }))
  await waitFor(() => expect(store.state?.question).toBeDefined())
  expect(screen.queryByRole('alertdialog')).toBeNull()
  expect(undisturbed()).toBe(true)
  await press('Cancel')
  await screen.findByRole('alertdialog', { name: /^Start virtual machine slow/ })
})

test('a failure keeps what was typed into a dialog', async () => {
  const { ui } = show()
  ui.dialog = 'create-volume'
  const name = await screen.findByLabelText<HTMLInputElement>('Name')
  await fireEvent.input(name, { target: { value: 'precious' } })
  await ui.attempt('start web', () => Promise.reject(new Error('the disk is locked')))
  await screen.findByRole('alertdialog', { name: 'Could not start web' })
  await press('Close')
  await waitFor(() => expect(screen.queryByRole('alertdialog')).toBeNull())
  expect(screen.getByLabelText('Name')).toBe(name)
  expect(name.value).toBe('precious')
  expect(document.activeElement).toBe(name)
})

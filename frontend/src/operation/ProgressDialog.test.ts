import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import StatusBar from '../layout/StatusBar.svelte'

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

test('a long operation opens a dialog, which can run in the background', async () => {
  vi.useFakeTimers()
  const { fake, ui } = show(new Fake('usual', 400))
  await ui.act('start web', () => fake.call('vm.start', { name: 'old-debian' }))
  await vi.advanceTimersByTimeAsync(300)
  expect(screen.queryByRole('dialog')).toBeNull()
  await vi.advanceTimersByTimeAsync(300)
  expect(screen.getByRole('dialog', { name: 'Start virtual machine old-debian' }).textContent).toContain(
    '190 MiB of 320 MiB (59 %)',
  )
  await fireEvent.click(screen.getByRole('button', { name: 'Run in background' }))
  await vi.advanceTimersByTimeAsync(0)
  expect(screen.queryByRole('dialog')).toBeNull()
  expect(fake.state.operations[0]!.background).toBe(true)
})

// Canceling a creation asks whether to delete or keep the VM, and shows that this is done.
test.each([
  ['Delete', { delete: true }, []],
  ['Keep', {}, ['Stopped']],
])('cancel of a creation: %s', async (button, more, left) => {
  const { fake, ui } = show(new Fake('usual', 250), StatusBar)
  const making = { name: 'slow-shop', template: 'template:rdd', start: true } // it never runs
  const id = (await ui.act('create the virtual machine', () => fake.call('vm.create', making)))!.operation
  await screen.findByRole('dialog', { name: /slow-shop/ })
  await press('Cancel')
  expect(document.activeElement?.textContent?.trim()).toBe('Continue')
  await press(button)
  await waitFor(() =>
    expect(fake.state.vms.filter((vm) => vm.name === 'slow-shop').map((vm) => vm.state)).toEqual(left),
  )
  const cancels = fake.calls.filter((c) => c.method === 'operation.cancel').map((c) => c.params)
  expect(cancels).toEqual([{ id, ...more }])
  expect(fake.state.operations.find((o) => o.id === id)).toBeUndefined()
  await screen.findByText('done')
})

test('cancel of a creation: Escape cancels nothing', async () => {
  const { fake, ui } = show(new Fake('usual', 250))
  await ui.act('create the virtual machine', () =>
    fake.call('vm.create', { name: 'slow-shop', template: 'template:rdd', start: true }),
  )
  const dialog = await screen.findByRole('dialog', { name: /slow-shop/ })
  await press('Cancel')
  await fireEvent(dialog, new Event('cancel', { cancelable: true }))
  await screen.findByRole('button', { name: 'Run in background' })
  expect(fake.calls.some((c) => c.method === 'operation.cancel')).toBe(false)
})

test('a failed operation stays until it is closed, even in the first half second', async () => {
  const { fake, ui } = show()
  await ui.act('start web', () => fake.call('vm.start', { name: 'slow' }))
  fake.push({
    operations: fake.state.operations.map((o) => ({
      ...o,
      state: 'failed' as const,
      problem: { kind: 'other' as const, message: 'no such image', advice: 'Correct the template.' },
    })),
  })
  const dialog = await screen.findByRole('alertdialog')
  expect(dialog.textContent).toContain('Correct the template.')
  await press('Close')
  await waitFor(() => expect(fake.state.operations).toEqual([]))
})

import { cleanup, fireEvent, screen } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import { show } from '../testing/render'

afterEach(cleanup)

test('a factory reset needs the exact name', async () => {
  const { ui } = show()
  const run = vi.fn()
  ui.confirmation = { title: 'Factory reset?', text: '', type: 'default', action: 'Delete everything', run }
  const act = (await screen.findByRole('button', { name: 'Delete everything' })) as HTMLButtonElement
  const box = screen.getByRole('textbox')
  await fireEvent.input(box, { target: { value: 'Default' } })
  expect(act.disabled).toBe(true)
  await fireEvent.submit(box.closest('form')!)
  expect(run).not.toHaveBeenCalled()
  await fireEvent.input(box, { target: { value: 'default' } })
  await fireEvent.click(act)
  expect(run).toHaveBeenCalledOnce()
})

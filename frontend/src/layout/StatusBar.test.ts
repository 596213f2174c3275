import { cleanup, fireEvent, screen } from '@testing-library/svelte'
import { afterEach, expect, test, vi } from 'vitest'
import { Fake } from '../testing/fake'
import { show } from '../testing/render'
import StatusBar from './StatusBar.svelte'

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

test('the status bar shows operations, opens their dialogs, and dismisses finished ones', async () => {
  vi.useFakeTimers()
  const { fake } = show(new Fake('usual', 1000), StatusBar)
  await fake.call('vm.start', { name: 'old-debian' })
  await vi.advanceTimersByTimeAsync(1500)
  const button = screen.getByRole('button', { name: /Start virtual machine old-debian Step 1 of 5 · image/ })
  await fireEvent.click(button)
  expect(screen.getByRole('dialog', { name: 'Start virtual machine old-debian' })).toBeTruthy()
  await vi.advanceTimersByTimeAsync(5000)
  expect(screen.getByRole('button', { name: /old-debian done/ })).toBeTruthy()
  await vi.advanceTimersByTimeAsync(5000)
  expect(screen.queryByRole('button', { name: /old-debian/ })).toBeNull()
})

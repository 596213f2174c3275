import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'

afterEach(cleanup)

test('the first run starts nothing by itself', async () => {
  const { fake } = show(new Fake('first', 20))
  await screen.findByRole('dialog', { name: 'Welcome to RDD' })
  await press('Not now')
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  const asked = ['app.settings', 'app.check'] // these change nothing
  expect(fake.calls.map((c) => c.method).filter((m) => !asked.includes(m))).toEqual(['settings.set'])
  expect(fake.state.service.state).toBe('not-created')
})

test('a value that the service rejects stands beside its field, and the dialog stays', async () => {
  const { fake } = show(new Fake('first', 20))
  const memory = await screen.findByLabelText('Memory')
  await fireEvent.input(memory, { target: { value: '12' } })
  fake.refusals['app.set'] = { kind: 'rejected', message: 'must be at most 8 GiB', field: 'memory' }
  await press('Start')
  await screen.findByText('must be at most 8 GiB')
  expect(memory.getAttribute('aria-invalid')).toBe('true')
  expect(fake.state.settings.firstRunDone).toBe(false)
  delete fake.refusals['app.set']
  await press('Start')
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  expect(fake.calls.findLast((c) => c.method === 'app.set')?.params).toEqual({ memory: 12 * 1024 ** 3, start: true })
})

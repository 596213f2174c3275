import { cleanup, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'

afterEach(cleanup)

test('the first run starts nothing by itself', async () => {
  const { fake } = show(new Fake('first', 20))
  await screen.findByRole('dialog', { name: 'Welcome to RDD' })
  await press('Not now')
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  expect(fake.calls.map((c) => c.method)).toEqual(['settings.set'])
  expect(fake.state.service.state).toBe('not-created')
})

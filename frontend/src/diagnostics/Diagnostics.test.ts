import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import Harness from '../testing/Harness.svelte'
import Diagnostics from './Diagnostics.svelte'

afterEach(cleanup)

test('the Diagnostics page checks once when it is opened', async () => {
  const fake = new Fake('usual', 5)
  render(Harness, { fake, component: Diagnostics as never })
  await screen.findByRole('button', { name: 'Clear leftovers' })
  fake.push()
  await waitFor(() => expect(screen.getByText('1 problem, 1 warning')).toBeTruthy())
  expect(fake.calls.filter((c) => c.method === 'diagnose')).toHaveLength(1)
})

test('findings with the same id are all shown', async () => {
  const fake = new Fake('usual', 5)
  render(Harness, { fake, component: Diagnostics as never })
  await screen.findByText('The store is sound')
  expect(screen.getByText('/dev/kvm can be used')).toBeTruthy()
})

test('a finding without a text shows its meaning', async () => {
  const fake = new Fake('usual', 5)
  const report = await fake.call('diagnose', {})
  report.findings[0]!.what = ''
  fake.call = async () => report as never
  render(Harness, { fake, component: Diagnostics as never })
  await screen.findByRole('heading', { name: /Virtual disks grow as they are written to/ })
})

test('a repaired finding disappears', async () => {
  const fake = new Fake('usual', 30)
  render(Harness, { fake, component: Diagnostics as never })
  await fireEvent.click(await screen.findByRole('button', { name: 'Clear leftovers' }))
  await screen.findByText('1 warning')
})

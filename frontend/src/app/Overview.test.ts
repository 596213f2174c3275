import { cleanup, screen, waitFor, within } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import Overview from './Overview.svelte'

afterEach(cleanup)

test('docker can be told to use the container engine', async () => {
  const fake = new Fake('usual', 20)
  fake.state.app!.engine.contextCurrent = false
  show(fake, Overview)
  const card = within(await screen.findByRole('region', { name: 'Docker' }))
  card.getByText('docker context use rdd')
  await press('Use with docker')
  await waitFor(() => card.getByText(/docker uses the context/))
})

test('an almost full data disk is reported with what to do', async () => {
  const fake = new Fake('usual', 20)
  const warning = 'the data disk is 91 % full; remove what is not used with: docker system prune'
  fake.state.app!.disk = { ...fake.state.app!.disk!, percent: 91, warning }
  show(fake, Overview)
  await screen.findByText('T' + warning.slice(1))
  expect(screen.getByRole('link', { name: 'Enlarge the disk' }).getAttribute('href')).toBe('#/settings/engine')
})

test('text of a container is text', async () => {
  const fake = new Fake('usual', 20)
  show(fake, Overview)
  fake.push({ app: { ...fake.state.app!, problems: ['<b>bold</b>'] } })
  await screen.findByText('<b>bold</b>')
})

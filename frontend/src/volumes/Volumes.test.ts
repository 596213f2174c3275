import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import type { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import VolumeDetails from './VolumeDetails.svelte'
import Volumes from './Volumes.svelte'

afterEach(cleanup)

const ids = () => [...document.querySelectorAll<HTMLElement>('[role=row][data-id]')].map((r) => r.dataset.id)
const deleted = (fake: Fake) => fake.calls.filter((c) => c.method === 'volume.delete').map((c) => c.params)

test('a volume in use says by what, and can’t be deleted', async () => {
  show(undefined, Volumes)
  const button = (await screen.findByRole('button', { name: 'Delete shop_data' })) as HTMLButtonElement
  expect(button.disabled).toBe(true)
  expect(button.title).toBe('Used by shop-db-1')
  expect(screen.getByRole('link', { name: 'shop-db-1' }).getAttribute('href')).toBe('#/containers/shop-db-1')
})

test('of a selection only the unused volumes are deleted, after a question', async () => {
  const { fake } = show(undefined, Volumes)
  await fireEvent.click(await screen.findByRole('checkbox', { name: 'Select go-build-cache' }))
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Select shop_data' }))
  await press('Delete…')
  screen.getByText(/1 volume of the selection is in use and not deleted/)
  expect(deleted(fake)).toEqual([])
  await press('Delete')
  await waitFor(() => expect(ids()).not.toContain('go-build-cache'))
  expect(deleted(fake)).toEqual([{ names: ['go-build-cache'] }])
})

test('the list can be narrowed to what nothing uses', async () => {
  show(undefined, Volumes)
  await fireEvent.click(await screen.findByRole('checkbox', { name: 'Unused only' }))
  expect(ids()).toHaveLength(2)
  screen.getByText('anonymous')
})

test('what was used meanwhile is refused, in the engine’s words', async () => {
  const { fake } = show(undefined, Volumes)
  await fireEvent.click(await screen.findByRole('button', { name: 'Delete go-build-cache' }))
  fake.refuse('volume.delete', 'go-build-cache', 'volume is in use - [abc]')
  await press('Delete')
  expect((await screen.findByRole('alert')).textContent).toContain('go-build-cache: volume is in use - [abc]')
})

test('a volume that is deleted while it is open says so', async () => {
  const { fake } = show(undefined, VolumeDetails, { name: 'go-build-cache', tab: 'overview' })
  await screen.findByText('/var/lib/docker/volumes/go-build-cache/_data')
  await fake.call('volume.delete', { names: ['go-build-cache'] })
  await screen.findByText('This volume was deleted.')
})

test('a new volume needs a name, and what is wrong is said beside the field', async () => {
  const { fake, ui } = show(undefined, Volumes)
  await press('New volume')
  await press('Create')
  const box = screen.getByRole('textbox', { name: 'Name' })
  expect(box.getAttribute('aria-describedby')).toBe(screen.getByText('Enter a name.').id)
  await fireEvent.input(box, { target: { value: 'uploads' } })
  fake.refusals['volume.create'] = {
    kind: 'usage',
    message: '"uploads" includes invalid characters',
    field: 'name',
  }
  await press('Create')
  const why = await screen.findByText('"uploads" includes invalid characters')
  expect(box.getAttribute('aria-describedby')).toBe(why.id)
  fake.refusals = {}
  await press('Create')
  await waitFor(() => expect(ids()).toContain('uploads'))
  expect(ui.dialog).toBeUndefined()
})

test('pruning asks, and takes volumes with a name only if wanted', async () => {
  const { fake } = show(undefined, Volumes)
  await press('Delete unused…')
  expect(fake.calls.some((c) => c.method === 'prune')).toBe(false)
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Also delete 1 unused volume with a name' }))
  await press('Delete')
  await waitFor(() =>
    expect(fake.calls.find((c) => c.method === 'prune')?.params).toEqual({ what: 'volumes', all: true }),
  )
})

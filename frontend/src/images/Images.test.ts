import { cleanup, fireEvent, screen, waitFor, within } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import type { Method } from '../lib/transport'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import ImageDetails from './ImageDetails.svelte'
import Images from './Images.svelte'
import { registryOf } from './labels'

afterEach(cleanup)

const rows = () => [...document.querySelectorAll<HTMLElement>('[role=row][data-id]')]
const names = () => rows().map((r) => r.querySelector('a')!.textContent)
const asked = (fake: Fake, method: Method) => fake.calls.filter((c) => c.method === method).map((c) => c.params)
const type = (label: string, value: string) => fireEvent.input(screen.getByLabelText(label), { target: { value } })

test('the list says what each image is, and what uses it', async () => {
  show(undefined, Images)
  await screen.findByRole('link', { name: 'postgres:17' })
  const row = rows().find((r) => r.textContent.includes('postgres:17'))!
  expect(row.textContent).toContain('438 MiB')
  expect(within(row).getByRole('link', { name: 'shop-db-1' }).getAttribute('href')).toBe('#/containers/shop-db-1')
  screen.getByText(/^14 images · /)
  const untagged = screen.getAllByText('no tag')
  expect(untagged).toHaveLength(2)
})

test('the list is searched, narrowed and sorted', async () => {
  show(undefined, Images)
  await fireEvent.input(await screen.findByRole('searchbox'), { target: { value: 'PROM v3' } })
  expect(names()).toEqual(['prom/prometheus:v3.7.0'])
  screen.getByText(/^1 of 14 images/)
  await fireEvent.input(screen.getByRole('searchbox'), { target: { value: 'shop-db' } })
  expect(names()).toEqual(['postgres:17'])
  await fireEvent.input(screen.getByRole('searchbox'), { target: { value: '' } })
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Unused only' }))
  expect(names()).toHaveLength(3)
  expect(names()[0]).toBe('golang:1.26')
  await press('Size')
  expect(names()[2]).toBe('golang:1.26')
})

test('an image is pulled, for another platform, too', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Pull…' }))
  expect((screen.getByRole('button', { name: 'Pull' }) as HTMLButtonElement).disabled).toBe(true)
  await type('Image', ' busybox:1.37 ')
  await type('Platform', 'linux/arm64')
  await press('Pull')
  await waitFor(() => expect(names()).toContain('busybox:1.37'))
  expect(asked(fake, 'image.pull')).toEqual([{ reference: 'busybox:1.37', platform: 'linux/arm64' }])
})

test('a folder is built, and the form keeps what was typed', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Build…' }))
  await type('Folder', '/home/ada/src/shop')
  await type('Tag', 'shop:2')
  await fireEvent.click(screen.getByText('More options'))
  await type('Stage', 'app')
  await press('Add argument')
  await type('Name of argument 1', 'VERSION')
  await type('Value of argument 1', '2')
  await fireEvent.click(screen.getByRole('checkbox', { name: /without the cache/ }))
  await press('Build')
  expect(asked(fake, 'image.build')).toEqual([
    { folder: '/home/ada/src/shop', tag: 'shop:2', target: 'app', args: { VERSION: '2' }, noCache: true },
  ])
  await press('Build…')
  expect((screen.getByLabelText('Folder') as HTMLInputElement).value).toBe('/home/ada/src/shop')
})

test('a push says where to, and an image without a tag can’t be pushed', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Push grafana/grafana:12.2.0' }))
  screen.getByText('Docker Hub')
  await press('Push')
  expect(asked(fake, 'image.push')).toEqual([{ reference: 'grafana/grafana:12.2.0' }])
  const untagged = screen.getAllByTitle('Give it a tag to push it') as HTMLButtonElement[]
  expect(untagged.map((b) => b.disabled)).toEqual([true, true])
})

test('an image gets another tag', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Tag redis:8-alpine' }))
  await type('New tag', 'Cache:1')
  const tag = () => fireEvent.click(within(screen.getByRole('dialog')).getByRole('button', { name: 'Tag' }))
  fake.refusals['image.tag'] = { kind: 'usage', message: 'repository name must be lowercase', field: 'target' }
  await tag()
  const why = await screen.findByText('repository name must be lowercase')
  expect(screen.getByLabelText('New tag').getAttribute('aria-describedby')).toBe(why.id)
  fake.refusals = {}
  await type('New tag', 'cache:1')
  await tag()
  await waitFor(() => expect(names()).toContain('cache:1'))
  expect(asked(fake, 'image.tag')).toHaveLength(2)
  expect(screen.queryByRole('dialog')).toBeNull()
})

test('a deletion names the containers, and is forced only if that is asked for', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Delete hello-world:latest' }))
  screen.getByText('brave_hopper', { selector: 'li' })
  await press('Delete')
  expect((await screen.findByRole('alert')).textContent).toContain('container brave_hopper is using it')
  await fireEvent.click(screen.getByRole('button', { name: 'Delete hello-world:latest' }))
  await fireEvent.click(screen.getByRole('checkbox', { name: /although stopped/ }))
  await press('Delete anyway')
  await waitFor(() => expect(names()).not.toContain('hello-world:latest'))
  expect(asked(fake, 'image.delete').map((p) => (p as { force: boolean }).force)).toEqual([false, true])
})

test('selected images are saved to one file, or deleted together with the Delete key', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('checkbox', { name: 'Select golang:1.26' }))
  await fireEvent.click(screen.getByRole('checkbox', { name: 'Select debian:trixie' }))
  await press('Save…')
  await type('File', '/tmp/two.tar')
  await press('Save')
  expect(asked(fake, 'image.save')).toEqual([{ references: ['debian:trixie', 'golang:1.26'], path: '/tmp/two.tar' }])
  await fireEvent.keyDown(rows()[0]!, { key: 'Delete' })
  screen.getByRole('heading', { name: 'Delete 2 images?' })
})

test('a prune says what goes, and what is gone', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Prune…' }))
  expect(within(screen.getByRole('region', { name: 'Deleted' })).getAllByRole('listitem')).toHaveLength(2)
  await fireEvent.click(screen.getByRole('radio', { name: /that no container uses/ }))
  screen.getByText('golang:1.26', { selector: '.font-mono' })
  await press('Prune')
  expect(asked(fake, 'prune')).toEqual([{ what: 'images', all: true }])
  await waitFor(() => expect(names()).not.toContain('golang:1.26'))
})

test('the build cache is pruned as far as it is not needed, or whole', async () => {
  const { fake } = show(undefined, Images)
  await fireEvent.click(await screen.findByRole('button', { name: 'Prune…' }))
  await fireEvent.click(screen.getByRole('radio', { name: 'Build cache' }))
  await fireEvent.click(screen.getByRole('checkbox', { name: /All of it/ }))
  await press('Prune')
  expect(asked(fake, 'prune')).toEqual([{ what: 'buildCache', all: true }])
})

test('without images, the page says what to do', async () => {
  const { fake } = show(undefined, Images)
  await screen.findByRole('link', { name: 'postgres:17' })
  fake.engine.images = []
  fake.pushEngine()
  await screen.findByText('rdd run docker pull nginx')
  await press('Load an archive…')
  await type('Archive', '/tmp/a.tar')
  await press('Load')
  expect(asked(fake, 'image.load')).toEqual([{ path: '/tmp/a.tar' }])
})

test('containerd is used with nerdctl, and its namespaces are told apart', async () => {
  const fake = new Fake('usual', 20)
  fake.state.app!.engine.name = 'containerd'
  fake.engine.images[0]!.namespace = 'k8s.io'
  show(fake, Images)
  await screen.findByText('rdd nerdctl pull nginx')
  screen.getByText('k8s.io')
  const offered = (name: string) => screen.queryByRole('button', { name }) !== null
  expect(['Pull…', 'Build…', 'Load…', 'Prune…', 'Push golang:1.26'].filter(offered)).toEqual([])
  expect(['Tag golang:1.26', 'Delete golang:1.26'].filter(offered)).toHaveLength(2)
})

test('the registry of a tag', () => {
  const tags = ['nginx', 'team/shop:1', 'docker.io/library/nginx:1', 'localhost/a', 'localhost:5000/a', 'ghcr.io/a/b']
  expect(tags.map(registryOf)).toEqual([...Array(3).fill('Docker Hub'), 'localhost', 'localhost:5000', 'ghcr.io'])
})

test('without an engine, nothing can be pulled', async () => {
  show(new Fake('stopped', 20), Images)
  await screen.findByText(/engine is stopped/)
  expect((screen.getByRole('button', { name: 'Pull…' }) as HTMLButtonElement).disabled).toBe(true)
})

test('the page of an image has its tags, users and what inspect says', async () => {
  const fake = new Fake('usual', 20)
  fake.engine.fill('usual')
  const image = fake.engine.images.find((i) => i.repoTag === 'postgres:17')!
  fake.engine.images.push({ ...image, object: 'img-other', repoTag: 'db:1', labels: { team: 'shop' } })
  show(fake, ImageDetails, { name: 'img-other' })
  await screen.findByRole('heading', { name: 'db:1' })
  screen.getByRole('link', { name: 'postgres:17' })
  screen.getByRole('link', { name: 'shop-db-1' })
  screen.getByText('shop', { selector: 'dd' })
  fake.engine.change({}, { images: ['img-other'] })
  await screen.findByText('This image was deleted.')
})

test('an image can be inspected', async () => {
  const { object } = new Fake().engine.images[0]!
  const { fake } = show(undefined, ImageDetails, { name: object, tab: 'inspect' })
  const json = await screen.findByRole('region', { name: /^Inspect shop-web:dev: JSON/ })
  expect(json.textContent).toContain('"repoTag": "shop-web:dev"')
  expect(asked(fake, 'image.inspect')).toEqual([{ id: object }])
})

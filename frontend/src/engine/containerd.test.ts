// What the page shows while containerd is the engine.
import { cleanup, fireEvent, screen, waitFor, within } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import AppSettings from '../app/AppSettings.svelte'
import ContainerDetails from '../containers/ContainerDetails.svelte'
import Containers from '../containers/Containers.svelte'
import ImageDetails from '../images/ImageDetails.svelte'
import NetworkDetails from '../networks/NetworkDetails.svelte'
import Networks from '../networks/Networks.svelte'
import { Fake } from '../testing/fake'
import { id } from '../testing/fakeEngine'
import { press, show } from '../testing/render'
import VolumeDetails from '../volumes/VolumeDetails.svelte'
import Volumes from '../volumes/Volumes.svelte'

afterEach(cleanup)

const fake = () => new Fake('containerd', 20)
const calls = (of: Fake, method: string) => of.calls.filter((c) => c.method === method).map((c) => c.params)

test('containers with the same ID in two namespaces are both listed, told apart, and acted on', async () => {
  const { fake: f } = show(fake(), Containers)
  const links = await screen.findAllByRole('link', { name: 'registry' })
  expect(links.map((l) => l.getAttribute('href'))).toEqual([
    `#/containers/default%3A${id('registry')}`,
    `#/containers/k8s.io%3A${id('registry')}`,
  ])
  screen.getByText('k8s.io')
  const row = links[1]!.closest<HTMLElement>('[role=row]')!
  await fireEvent.click(within(row).getByRole('button', { name: 'Stop registry' }))
  await waitFor(() => expect(calls(f, 'container.stop')).toEqual([{ ids: [`k8s.io:${id('registry')}`] }]))
})

test('the list has no columns for what containerd does not tell, and does not ask for it', async () => {
  const { fake: f } = show(fake(), Containers)
  await screen.findAllByRole('link', { name: 'registry' })
  expect(screen.queryByRole('columnheader', { name: 'CPU' })).toBeNull()
  expect(calls(f, 'container.usage')).toEqual([])
})

test('stopped containers are deleted one by one: containerd can’t prune', async () => {
  const { fake: f } = show(fake(), Containers)
  await press('Delete stopped…')
  await press('Delete')
  await waitFor(() => expect(calls(f, 'container.delete')).toHaveLength(1))
  expect(calls(f, 'container.delete')[0]).toMatchObject({ force: false, volumes: false })
  expect(calls(f, 'prune')).toEqual([])
})

test('a container’s page is found by its namespace and ID, and says where the usage is', async () => {
  const { fake: f } = show(fake(), ContainerDetails, { name: `k8s.io:${id('registry')}`, tab: 'stats' })
  await screen.findByText(/does not tell RDD what a container uses/)
  screen.getByText('rdd nerdctl --namespace k8s.io stats registry')
  expect(calls(f, 'container.usage')).toEqual([])
})

test.each([
  ['files', 'cp registry:/etc/hosts .'],
  ['inspect', 'inspect registry'],
])('the tab %s of a container names the command that has it, and asks containerd for nothing', async (tab, command) => {
  const { fake: f } = show(fake(), ContainerDetails, { name: `default:${id('registry')}`, tab })
  await screen.findByText(`rdd nerdctl --namespace default ${command}`)
  expect([...calls(f, 'container.files'), ...calls(f, 'container.inspect')]).toEqual([])
})

test('a container’s volumes and networks are no links to pages that RDD can’t show', async () => {
  const { fake: f } = show(fake(), ContainerDetails, { name: `default:${id('shop-db-1')}`, tab: 'overview' })
  await screen.findByText(/Volume shop_data/)
  expect(screen.queryByRole('link', { name: 'shop_data' })).toBeNull()
  expect(screen.queryByRole('link', { name: 'shop_default' })).toBeNull()
  expect(calls(f, 'container.inspect')).toEqual([])
})

test.each([
  ['volume', Volumes, {}],
  ['volume', VolumeDetails, { name: 'shop_data' }],
  ['network', Networks, {}],
  ['network', NetworkDetails, { name: 'shop_default' }],
])('a page of %ss says that nerdctl has them', async (kind, component, given) => {
  show(fake(), component, given)
  await screen.findByText(`RDD does not show ${kind}s of containerd`)
  screen.getByText(`rdd nerdctl ${kind} ls`)
  expect(screen.queryByRole('button', { name: /^(New|Delete)/ })).toBeNull()
})

test('an image’s page offers nothing that containerd can’t do, and says what does', async () => {
  const f = fake()
  const image = f.engine.images.find((i) => i.repoTag === 'registry:3')!
  show(f, ImageDetails, { name: image.object })
  await screen.findByText('rdd nerdctl --namespace default push registry:3')
  expect(screen.queryByRole('button', { name: 'Push…' })).toBeNull()
  expect(screen.queryByRole('button', { name: 'Save…' })).toBeNull()
  screen.getByRole('button', { name: 'Tag…' })
})

test('the settings say that docker’s context does not count', async () => {
  show(fake(), AppSettings)
  await screen.findByText(/docker can’t use containerd. This counts again/)
})

test('the settings name the client that shared folders are for', async () => {
  show(fake(), AppSettings)
  await screen.findByText('rdd nerdctl run -v')
  await fireEvent.click(screen.getByRole('radio', { name: /Moby/ }))
  await screen.findByText('docker run -v')
})

test('an image is inspected with nerdctl', async () => {
  const f = fake()
  const image = f.engine.images.find((i) => i.repoTag === 'registry:3')!
  show(f, ImageDetails, { name: image.object, tab: 'inspect' })
  await screen.findByText('rdd nerdctl --namespace default image inspect registry:3')
  expect(calls(f, 'image.inspect')).toEqual([])
})

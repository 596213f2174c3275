// The table of pages. The app, the sidebar, the keyboard shortcuts and the end-to-end tests read it.
import Box from '@lucide/svelte/icons/box'
import EthernetPort from '@lucide/svelte/icons/ethernet-port'
import Gauge from '@lucide/svelte/icons/gauge'
import HardDrive from '@lucide/svelte/icons/hard-drive'
import Layers from '@lucide/svelte/icons/layers'
import LifeBuoy from '@lucide/svelte/icons/life-buoy'
import Monitor from '@lucide/svelte/icons/monitor'
import NetworkIcon from '@lucide/svelte/icons/network'
import SettingsIcon from '@lucide/svelte/icons/settings'
import Stethoscope from '@lucide/svelte/icons/stethoscope'
import type { Component } from 'svelte'
import ContainerDetails from './containers/ContainerDetails.svelte'
import Containers from './containers/Containers.svelte'
import { containersBadge } from './containers/labels'
import Overview from './app/Overview.svelte'
import Diagnostics from './diagnostics/Diagnostics.svelte'
import { findingsBadge } from './diagnostics/severity'
import type { Route } from './lib/route'
import type { Badge } from './ui/tone'
import type { Store } from './lib/store.svelte'
import NetworkDetails from './networks/NetworkDetails.svelte'
import Networks from './networks/Networks.svelte'
import Ports from './ports/Ports.svelte'
import { portsBadge } from './ports/labels'
import ImageDetails from './images/ImageDetails.svelte'
import Images from './images/Images.svelte'
import Troubleshooting from './service/Troubleshooting.svelte'
import Settings from './settings/Settings.svelte'
import { vmsBadge } from './vm/labels'
import VMDetails from './vm/VMDetails.svelte'
import VMs from './vm/VMs.svelte'
import VolumeDetails from './volumes/VolumeDetails.svelte'
import Volumes from './volumes/Volumes.svelte'

// The sections of the sidebar, in their order. That of the settings is at its bottom.
export type Section = 'main' | 'advanced' | 'end'

export interface Page {
  id: string // in the address: #/ID
  title: string
  section: Section
  icon: typeof Gauge
  component: Component
  details?: Component<{ name: string; tab?: string }> // the page of one object: #/ID/NAME/TAB
  nameOf?: (store: Store, name: string) => string | undefined // what people call the object, if not as in the address
  badge?: (store: Store) => Badge | undefined // beside the title in the sidebar
}

// In the order of the sidebar, section by section.
const table = [
  { id: 'overview', title: 'Overview', section: 'main', icon: Gauge, component: Overview },
  {
    id: 'containers',
    title: 'Containers',
    section: 'main',
    icon: Box,
    component: Containers,
    details: ContainerDetails,
    nameOf: (store, name) => store.engine.container(name)?.name,
    badge: containersBadge,
  },
  { id: 'images', title: 'Images', section: 'main', icon: Layers, component: Images, details: ImageDetails },
  {
    id: 'volumes',
    title: 'Volumes',
    section: 'main',
    icon: HardDrive,
    component: Volumes,
    details: VolumeDetails,
  },
  {
    id: 'networks',
    title: 'Networks',
    section: 'main',
    icon: NetworkIcon,
    component: Networks,
    details: NetworkDetails,
    nameOf: (store, name) => store.engine.network(name)?.name,
  },
  { id: 'ports', title: 'Ports', section: 'main', icon: EthernetPort, component: Ports, badge: portsBadge },
  {
    id: 'machines',
    title: 'Virtual machines',
    section: 'advanced',
    icon: Monitor,
    component: VMs,
    details: VMDetails,
    badge: vmsBadge,
  },
  {
    id: 'diagnostics',
    title: 'Diagnostics',
    section: 'advanced',
    icon: Stethoscope,
    component: Diagnostics,
    badge: findingsBadge,
  },
  { id: 'troubleshooting', title: 'Troubleshooting', section: 'advanced', icon: LifeBuoy, component: Troubleshooting },
  { id: 'settings', title: 'Settings', section: 'end', icon: SettingsIcon, component: Settings },
] as const satisfies readonly Page[]

export type PageID = (typeof table)[number]['id']
export const pages: readonly Page[] = table

// pageOf returns the page that an address leads to: the first one if there is no such page.
export const pageOf = (route: Route): Page => pages.find((page) => page.id === route.page) ?? table[0]

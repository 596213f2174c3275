// The tabs of a volume, in their order.
import { detailsHref } from '../lib/route'

export const tabs = [
  { id: 'files', title: 'Files' },
  { id: 'overview', title: 'Overview' },
  { id: 'inspect', title: 'Inspect' },
] as const
export type Tab = (typeof tabs)[number]['id']

export const volumeHref = (name: string, tab: Tab = 'files') =>
  detailsHref('volumes', name, tab === 'files' ? undefined : tab)

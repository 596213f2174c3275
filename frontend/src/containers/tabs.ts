// The tabs of a container, in their order.
import { detailsHref } from '../lib/route'

export const tabs = [
  { id: 'logs', title: 'Logs' },
  { id: 'overview', title: 'Overview' },
  { id: 'shell', title: 'Shell' },
  { id: 'files', title: 'Files' },
  { id: 'stats', title: 'Stats' },
  { id: 'inspect', title: 'Inspect' },
] as const
export type Tab = (typeof tabs)[number]['id']

export const containerHref = (object: string, tab: Tab = 'logs') =>
  detailsHref('containers', object, tab === 'logs' ? undefined : tab)

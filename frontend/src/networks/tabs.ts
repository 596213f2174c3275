// The tabs of a network, in their order.
import { detailsHref } from '../lib/route'

export const tabs = [
  { id: 'overview', title: 'Overview' },
  { id: 'inspect', title: 'Inspect' },
] as const
export type Tab = (typeof tabs)[number]['id']

export const networkHref = (object: string, tab: Tab = 'overview') =>
  detailsHref('networks', object, tab === 'overview' ? undefined : tab)

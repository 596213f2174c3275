// The tabs of a virtual machine, in their order.
import { detailsHref } from '../lib/route'

export const tabs = [
  { id: 'summary', title: 'Summary' },
  { id: 'resources', title: 'Resources' },
  { id: 'parameters', title: 'Parameters' },
  { id: 'template', title: 'Template' },
  { id: 'logs', title: 'Logs' },
  { id: 'shell', title: 'Shell' },
] as const
export type Tab = (typeof tabs)[number]['id']

// The App's VM is changed with the settings of the App.
const appTabs: readonly Tab[] = ['summary', 'logs', 'shell']
export const tabsOf = (app: boolean) => (app ? tabs.filter((t) => appTabs.includes(t.id)) : tabs)

export const vmHref = (name: string, tab: Tab = 'summary') =>
  detailsHref('machines', name, tab === 'summary' ? undefined : tab)

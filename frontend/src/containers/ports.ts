// The published ports of a container.
import type { ContainerPort } from '../lib/api'

export interface Published {
  text: string // "8080:80", as docker writes it
  href?: string // for a browser; undefined for what none can open
}

const anywhere = ['', '0.0.0.0', '::', '127.0.0.1', '::1']

export function published(ports: readonly ContainerPort[] = []): Published[] {
  const seen = new Map<string, Published>()
  for (const p of ports) {
    if (!p.hostPort) continue
    const local = anywhere.includes(p.hostIP ?? '')
    const host = local ? 'localhost' : p.hostIP!.includes(':') ? `[${p.hostIP}]` : p.hostIP!
    const text = `${local ? '' : `${host}:`}${p.hostPort}:${p.containerPort}${p.protocol === 'tcp' ? '' : `/${p.protocol}`}`
    const scheme = [443, 8443].includes(p.containerPort) ? 'https' : 'http'
    if (!seen.has(text))
      seen.set(text, { text, ...(p.protocol === 'tcp' && { href: `${scheme}://${host}:${p.hostPort}` }) })
  }
  return [...seen.values()]
}

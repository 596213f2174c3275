// Addresses inside the page: #/PAGE, #/PAGE/NAME, #/PAGE/NAME/TAB.
import type { PageID } from '../pages'
import type { Request } from './transport'

export interface Route {
  page: string
  name?: string // of one object of the page
  tab?: string
}

export function parse(hash: string): Route {
  const [page = '', name, tab] = hash.replace(/^#\/?/, '').split('/').map(decode)
  return { page, ...(name && { name }), ...(tab && { tab }) }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export const pageHref = (page: PageID) => `#/${page}`
export const detailsHref = (page: PageID, name: string, tab?: string) =>
  `#/${page}/${encodeURIComponent(name)}${tab ? `/${tab}` : ''}`

// requested reads what another program asks for in the address: #ask=quit or #operation=ID&page=NAME.
export function requested(hash: string): Request | undefined {
  if (!hash.includes('=')) return undefined
  const q = new URLSearchParams(hash.slice(1))
  const request: Request = {}
  for (const key of ['ask', 'operation', 'page'] as const) {
    const value = q.get(key)
    if (value) request[key] = value
  }
  return Object.keys(request).length ? request : undefined
}

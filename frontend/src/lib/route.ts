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
const names = ['ask', 'operation', 'page']
export function requested(hash: string): Request | undefined {
  if (!hash.includes('=')) return undefined
  const given = [...new URLSearchParams(hash.slice(1))].filter(([key, value]) => names.includes(key) && value)
  return given.length ? Object.fromEntries(given) : undefined
}

import { expect, test } from 'vitest'
import { pageOf } from '../pages'
import { vmHref } from '../vm/tabs'
import { parse, requested } from './route'

test.each([
  ['', { page: '' }],
  ['#/machines', { page: 'machines' }],
  [vmHref('web.1', 'logs'), { page: 'machines', name: 'web.1', tab: 'logs' }],
  [vmHref('web'), { page: 'machines', name: 'web' }],
  ['#/machines/%', { page: 'machines', name: '%' }],
])('the address %s', (hash, route) => expect(parse(hash)).toEqual(route))

test.each([
  ['', 'overview'],
  ['#/nowhere', 'overview'],
  ['#/settings/web', 'settings'],
  ['#/machines/web/logs', 'machines'],
])('%s leads to the page %s', (hash, id) => expect(pageOf(parse(hash)).id).toBe(id))

test.each([
  ['#ask=quit', { ask: 'quit' }],
  ['#operation=op-1&page=machines', { operation: 'op-1', page: 'machines' }],
  ['#/machines', undefined],
  ['#x=1', undefined],
])('the request of %s', (hash, request) => expect(requested(hash)).toEqual(request))

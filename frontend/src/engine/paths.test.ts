import { expect, test } from 'vitest'
import { crumbs, join, permissions } from './paths'

test('paths are joined and taken apart', () => {
  expect(join('/', 'etc')).toBe('/etc')
  expect(join('/etc', 'apt')).toBe('/etc/apt')
  expect(crumbs('/etc/apt').map((c) => c.path)).toEqual(['/', '/etc', '/etc/apt'])
  expect(crumbs('/').map((c) => c.name)).toEqual(['/'])
})

test.each([
  ['0644', 'rw-r--r--'],
  ['0755', 'rwxr-xr-x'],
  ['1777', 'rwxrwxrwx'],
  ['?', '?'],
])('%s is written %s', (mode, written) => expect(permissions(mode)).toBe(written))

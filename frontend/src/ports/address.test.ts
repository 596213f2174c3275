import { expect, test } from 'vitest'
import type { Port } from '../lib/api'
import { commandIn, distinct, messageOf, urlOf } from './address'

const port = (hostAddress: string, more: Partial<Port> = {}): Port => ({
  protocol: 'tcp',
  hostAddress,
  guestAddress: '172.17.0.2:80',
  container: 'web',
  state: 'Forwarded',
  ...more,
})

test.each([
  ['127.0.0.1:8080', {}, 'http://localhost:8080'],
  ['[::1]:8080', {}, 'http://localhost:8080'],
  ['0.0.0.0:8080', {}, 'http://localhost:8080'],
  ['192.168.1.10:80', {}, 'http://192.168.1.10:80'],
  ['[fd00::1]:80', {}, 'http://[fd00::1]:80'],
  ['127.0.0.1:9443', { guestAddress: '172.17.0.2:443' }, 'https://localhost:9443'],
  ['127.0.0.1:53', { protocol: 'udp' }, undefined],
  ['127.0.0.1:80', { state: 'Busy' as const }, undefined],
])('the browser opens %s %o at %s', (address, more, url) => expect(urlOf(port(address, more))).toBe(url))

test('the command of a remedy can be copied', () => {
  const message =
    'this system reserves ports below 1024: choose a port from 1024 on, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80'
  expect(commandIn(message)).toBe('sudo sysctl net.ipv4.ip_unprivileged_port_start=80')
  expect(commandIn('nginx (process 4711) has it')).toBeUndefined()
  expect(messageOf({ message, state: 'NotPermitted' })).toBe(
    'This system reserves ports below 1024: choose a port from 1024 on, or allow it.',
  )
  expect(messageOf({ message: 'nginx has it', state: 'Busy' })).toBe('nginx has it.')
  expect(commandIn(undefined)).toBeUndefined()
})

test('the addresses of both families are one port', () => {
  const all = [
    port('127.0.0.1:80'),
    port('[::1]:80'),
    port('192.168.1.1:80'),
    port('127.0.0.1:80', { protocol: 'udp' }),
  ]
  expect(distinct(all)).toEqual([all[0], all[2], all[3]])
})

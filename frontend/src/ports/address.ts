// Addresses of forwarded ports.
import type { Port } from '../lib/api'
import { capital } from '../ui/format'

// split returns the host and the port of an address such as 127.0.0.1:8080 or [::1]:8080.
export function split(address: string): { host: string; port: string } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: address.slice(at + 1) }
}

const local = ['127.0.0.1', '::1', '0.0.0.0', '::']

// urlOf returns the address for a browser; undefined for what no browser can open.
export function urlOf(port: Pick<Port, 'protocol' | 'hostAddress' | 'guestAddress' | 'state'>): string | undefined {
  if (port.protocol !== 'tcp' || port.state !== 'Forwarded') return undefined
  const { host, port: number } = split(port.hostAddress)
  const scheme = ['443', '8443'].includes(split(port.guestAddress).port) ? 'https' : 'http'
  const name = local.includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${scheme}://${name}:${number}`
}

// A message of RDD may end with a command for a terminal: “… unless you allow it: rdd set …”.
const command = /: ((?:sudo|rdd|docker) [^;]+)$/

export const commandIn = (message = '') => command.exec(message)?.[1]?.trim()

// messageOf returns the message of a port as a sentence, without the command.
export function messageOf({ message = '', state }: Pick<Port, 'message' | 'state'>): string {
  const text = message.replace(command, '')
  return text && `${state === 'Busy' ? text : capital(text)}.` // that of a busy port begins with the name of a program
}

// distinct leaves one port of those that differ only in the family of a local address, such as 127.0.0.1 and ::1.
export function distinct(ports: readonly Port[]): Port[] {
  const seen = new Map<string, Port>()
  for (const p of ports) {
    const { host, port } = split(p.hostAddress)
    const key = [p.protocol, local.includes(host) ? 'localhost' : host, port, p.container, p.state].join(' ')
    if (!seen.has(key)) seen.set(key, p)
  }
  return [...seen.values()]
}

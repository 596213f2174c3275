// The states of a forwarded port in words, with their tones.
import type { Port } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge, Tone } from '../ui/tone'

const states: Record<string, { label: string; tone: Tone }> = {
  Forwarded: { label: 'Forwarded', tone: 'ok' },
  Busy: { label: 'Busy', tone: 'warning' },
  NotPermitted: { label: 'Not permitted', tone: 'warning' },
}

export const portLabel = (port: Pick<Port, 'state'>) =>
  states[port.state] ?? { label: port.state, tone: 'busy' as Tone }

// portsBadge counts the ports that do not work.
export function portsBadge(store: Store): Badge | undefined {
  const n = store.ports.filter((p) => p.state !== 'Forwarded').length
  return n > 0 ? { count: n, label: `${count(n, 'port')} not forwarded`, tone: 'warning' } : undefined
}

// What can be done with networks.
import { Attempts } from '../engine/attempts.svelte'
import type { Network } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'
import { count } from '../ui/format'

// keeps says why a network can't be deleted.
export function keeps(n: Network): string | undefined {
  if (['bridge', 'host', 'none'].includes(n.name)) return 'It belongs to the engine and can’t be deleted'
  return n.containers?.length ? `Used by ${n.containers.join(', ')}` : undefined
}

export class NetworkActions extends Attempts {
  constructor(store: Store, ui: UI) {
    super(store, ui, 'network')
  }

  // remove asks first, for those that can be deleted. It calls done when all of them are deleted.
  remove(networks: readonly Network[], done?: () => void) {
    const free = networks.filter((n) => !keeps(n))
    const ids = free.map((n) => n.object)
    if (ids.length === 0) return
    const kept = networks.length - ids.length
    this.ui.confirmation = {
      title: `Delete ${ids.length === 1 ? `network ${free[0]!.name}` : count(ids.length, 'network')}?`,
      text: `${kept ? `${count(kept, 'network')} of the selection can’t be deleted and ${kept === 1 ? 'stays' : 'stay'}. ` : ''}Stopped containers that use it can’t be started without it.`,
      action: 'Delete',
      run: async () => {
        if (await this.attempt('delete', 'Deleting', ids, () => this.store.call('network.delete', { ids }))) done?.()
      },
    }
  }

  // prune asks first.
  prune() {
    this.ui.confirmation = {
      title: 'Delete unused networks?',
      text: 'Networks that no container uses are deleted. Compose creates those of its projects again.',
      action: 'Delete',
      run: () => void this.ui.act('delete unused networks', () => this.store.call('prune', { what: 'networks' })),
    }
  }
}

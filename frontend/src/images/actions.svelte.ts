// What can be done with images.
import { Attempts } from '../engine/attempts.svelte'
import type { Image } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'

export class ImageActions extends Attempts {
  constructor(store: Store, ui: UI) {
    super(store, ui, 'image')
  }

  remove(images: readonly Image[], force: boolean): Promise<boolean> {
    const objects = images.map((i) => i.object)
    return this.attempt('delete', 'Deleting', objects, () => this.store.call('image.delete', { objects, force }))
  }
}

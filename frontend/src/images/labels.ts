// Images in words, and which of them a prune deletes.
import type { Image } from '../lib/api'

export const shortID = (i: Pick<Image, 'id'>) => i.id.replace(/^sha256:/, '').slice(0, 12)

// imageName is the tag, or the ID of an image without one.
export const imageName = (i: Pick<Image, 'id' | 'repoTag'>) => i.repoTag || shortID(i)

// reference is what the engine finds the image by.
export const reference = (i: Pick<Image, 'id' | 'repoTag'>) => i.repoTag || i.id

export const isUsed = (i: Pick<Image, 'containers'>) => !!i.containers?.length

// registryOf is where an image is pulled from and pushed to.
export function registryOf(tag: string): string {
  const [first = '', ...rest] = tag.split('/')
  const named = rest.length > 0 && /[.:]|^localhost$/.test(first) && first !== 'docker.io'
  return named ? first : 'Docker Hub'
}

// prunable returns what a prune deletes: images without a tag or, with all, those that no container uses.
export const prunable = (images: readonly Image[], all: boolean) =>
  images.filter((i) => !isUsed(i) && (all || !i.repoTag))

// total is the size of images together. An image with several tags counts once; layers that images share can't be told.
export const total = (images: readonly Image[]) =>
  [...new Map(images.map((i) => [i.id, i.size])).values()].reduce((sum, size) => sum + size, 0)

// find returns the images with each word of the search in the tag, the ID, a label or the name of a container.
export function find(images: readonly Image[], wanted: string): readonly Image[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean)
  if (!words.length) return images
  const text = (i: Image) =>
    [i.repoTag, i.id, ...(i.containers ?? []), ...Object.entries(i.labels ?? {}).map((l) => l.join('='))]
      .join('\n')
      .toLowerCase()
  return images.filter((i) => {
    const t = text(i)
    return words.every((word) => t.includes(word))
  })
}

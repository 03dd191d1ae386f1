// Drawing texts is slow, and a node is drawn in every frame: what does not change is drawn once and copied from then on.

const LARGEST = 2 // pixels of the screen a pixel of the node; further in few nodes are in sight, and pictures would take much memory
const MOST = 64

/** By all that tells one from another: the pictures that were taken last. Loaders that show the same share one, which stays near the processor. */
const pictures = new Map()

/**
 * What draws the same as `paint`, and copies a picture of it while it is drawn in one size, scale and look after another.
 * paint(context, width, height) draws at the origin. at: the context's transform, which turns nothing. look: a few values that tell all that is drawn.
 * A copy is on whole pixels of the screen, which the picture has; that takes fewer calls than to turn the canvas's smoothing off.
 */
export function pictured(paint) {
  let picture = null
  let last = []
  return (context, at, x, y, width, height, ...look) => {
    const { a: scale, e: left, f: top } = at
    const now = [width, height, scale, ...look]
    if (now.some((value, index) => value !== last[index])) picture = null
    else if (scale <= LARGEST) picture ??= taken(now.join(), paint, width, height, scale)
    last = now
    if (picture) {
      const across = (Math.round(left + x * scale) - left) / scale
      const down = (Math.round(top + y * scale) - top) / scale
      return context.drawImage(picture, across, down, picture.width / scale, picture.height / scale)
    }
    context.save()
    context.translate(x, y)
    paint(context, width, height)
    context.restore()
  }
}

function taken(key, paint, width, height, scale) {
  if (!pictures.has(key)) {
    if (pictures.size >= MOST) pictures.clear() // who shows one keeps it
    pictures.set(key, take(paint, width, height, scale))
  }
  return pictures.get(key)
}

function take(paint, width, height, scale) {
  const canvas = new OffscreenCanvas(Math.ceil(width * scale), Math.ceil(height * scale))
  const context = canvas.getContext("2d")
  context.scale(scale, scale)
  paint(context, width, height)
  return canvas.transferToImageBitmap()
}

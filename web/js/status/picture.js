// Drawing texts is slow, and a node is drawn in every frame: what does not change is drawn once and copied from then on.

const LARGEST = 2 // pixels of the screen a pixel of the node; further in few nodes are in sight, and pictures would take much memory

/**
 * What draws the same as `paint`, and copies a picture of it while it is drawn in one size, scale and look after another.
 * paint(context, width, height) draws at the origin; a look is a string that changes when what it draws does.
 */
export function pictured(paint) {
  let picture = null
  let last = ""
  return (context, x, y, width, height, look) => {
    const scale = context.getTransform().a
    const now = `${width} ${scale} ${look}`
    if (now !== last) picture = null
    else if (scale <= LARGEST) picture ??= take(paint, width, height, scale)
    last = now
    context.save()
    if (picture) {
      context.imageSmoothingEnabled = false // it has the screen's pixels already
      context.drawImage(picture, x, y, picture.width / scale, picture.height / scale)
    } else {
      context.translate(x, y)
      paint(context, width, height)
    }
    context.restore()
  }
}

function take(paint, width, height, scale) {
  const canvas = new OffscreenCanvas(Math.ceil(width * scale), Math.ceil(height * scale))
  const context = canvas.getContext("2d")
  context.scale(scale, scale)
  paint(context, width, height)
  return canvas.transferToImageBitmap()
}

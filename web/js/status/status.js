// The status under a loader's widgets: file, format, size, kernel and VRAM, and the way to all schemes with their reasons.

import { loaderOf, widgetOf } from "../loaders.js"
import { drawnStatus } from "./drawn.js"
import { linesOf } from "./lines.js"
import { addShownStatus } from "./shown.js"

const DRAWN = "lightquant_drawn"
const SHOWN = "lightquant_shown"
const WIDTH = 320 // pixels, in which most file names have room

/** Adds the status to a loader, once for each of ComfyUI's renderings; it is part of no saved workflow and no prompt. open: called with the node on a click. */
export function addStatus(node, open) {
  const files = Object.keys(loaderOf(node).checkpoints).length
  onlyIf(() => !LiteGraph.vueNodesMode, node.addCustomWidget(drawnStatus(DRAWN, files, open)))
  onlyIf(() => LiteGraph.vueNodesMode, addShownStatus(node, SHOWN, files, open))
  showStatus(node, null)
  node.setSize([Math.max(node.size[0], WIDTH), Math.max(node.size[1], node.computeSize()[1])])
}

/** Shows what a choice says; null: nothing is known yet. */
export function showStatus(node, choice) {
  const lines = linesOf(choice)
  for (const name of [DRAWN, SHOWN]) widgetOf(node, name)?.show(lines)
  node.setDirtyCanvas(true)
}

/** Hides a widget unless something is so. */
function onlyIf(isSo, widget) {
  Object.defineProperty(widget, "hidden", { get: () => !isSo(), set() {}, configurable: true })
}

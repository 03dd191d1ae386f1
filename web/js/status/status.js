// The status under a loader's widgets: file, format, size, kernel and VRAM, and the way to all schemes with their reasons.

import { onSetting } from "../host.js"
import { loaderOf, widgetOf } from "../loaders.js"
import { t } from "../text.js"
import { choices } from "../watch.js"
import { drawnStatus } from "./drawn.js"
import { linesOf } from "./lines.js"
import { addShownStatus } from "./shown.js"

const NAME = "lightquant_status"
const NEW_RENDERING = "Comfy.VueNodes.Enabled"

/** Adds the status to a loader; it is part of no saved workflow and no prompt. open: called with the node on a click. */
export function addStatus(node, open) {
  add(node, open)
  showStatus(node, null, null)
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])])
}

/** Shows what a choice says, or why there is none; both null: nothing is known yet. */
export function showStatus(node, choice, problem) {
  widgetOf(node, NAME)?.show(linesOf(choice, problem), t(choice ? "status.clickHint" : "status.againHint"))
  node.setDirtyCanvas(true)
}

/** Gives all loaders the other kind of status when the user changes ComfyUI's rendering. open: as for addStatus. */
export function followRendering(open) {
  const change = () => {
    for (const [node, choice, problem] of choices()) {
      const old = widgetOf(node, NAME)
      if (old) node.removeWidget(old)
      add(node, open)
      showStatus(node, choice, problem)
    }
  }
  onSetting(NEW_RENDERING, () => setTimeout(change)) // the page follows its setting first
}

function add(node, open) {
  const files = Object.keys(loaderOf(node).checkpoints).length
  if (LiteGraph.vueNodesMode) addShownStatus(node, NAME, files, open)
  else node.addCustomWidget(drawnStatus(NAME, files, open))
}

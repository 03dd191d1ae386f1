// What a loader that the user adds begins with.

import { app, setting } from "./host.js"
import { widgetOf } from "./loaders.js"
import { MISSING_KERNEL } from "./settings.js"

/** Sets the user's default on a loader that has just been made. One that is opened or pasted gets its own values right after this. */
export function setDefaults(node) {
  const widget = widgetOf(node, "missing_kernel")
  const wanted = setting(MISSING_KERNEL)
  if (!app.configuringGraph && widget?.options.values.includes(wanted)) widget.value = wanted
}

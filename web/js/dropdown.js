// The scheme's dropdown offers what fits the checkpoint, what runs first. Its values stay the plain names that workflows hold.

import { widgetOf } from "./loaders.js"
import { AUTO, inOrder } from "./states.js"

/** Gives a loader's scheme dropdown a list of its own: the one that it comes with belongs to all nodes of its class. */
export function ownList(node) {
  const { options } = widgetOf(node, "scheme")
  options.values = [...options.values]
}

/** Puts the schemes that fit the choice's file into the dropdown, in their order; the one that is picked stays whatever it is. */
export function offer(node, choice) {
  const widget = widgetOf(node, "scheme")
  if (!choice || !Array.isArray(widget.options.values)) return
  const fitting = inOrder(choice.schemes).filter((scheme) => scheme.fits || scheme.name === widget.value)
  const offered = [AUTO, ...fitting.map((scheme) => scheme.name)]
  if (!offered.includes(widget.value)) offered.push(widget.value) // a workflow may hold a name that this server does not know
  widget.options.values.splice(0, Infinity, ...offered) // in place: the new node rendering holds on to the list
}

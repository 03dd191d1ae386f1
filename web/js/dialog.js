// Dialogs of the page's own kind: the keyboard stays inside, and Escape closes them.

import { element } from "./dom.js"

/** Opens a dialog that is gone when it closes. */
export function openDialog(name, ...content) {
  const dialog = element("dialog", { class: "lightquant-dialog", "aria-label": name }, element("h2", {}, name), ...content)
  dialog.addEventListener("close", () => dialog.remove())
  dialog.addEventListener("keydown", (event) => event.stopPropagation()) // they would be ComfyUI's shortcuts
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

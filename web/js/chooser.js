// The dialog with all schemes of a loader, in groups, each with its kernel and the reason.

import { app } from "./host.js"
import { openDialog } from "./dialog.js"
import { button, element, newId } from "./dom.js"
import { widgetOf } from "./loaders.js"
import { AUTO, STATES, markWith } from "./states.js"
import { t } from "./text.js"
import { askAgain, choiceOf } from "./watch.js"

/** Lets the user pick a scheme for a loader; where the server has not said which there are, it is asked again. */
export function choose(node) {
  const choice = choiceOf(node)
  if (!choice) return askAgain()
  const groups = element("div", { class: "lightquant-groups" }, ...groupsOf(choice, widgetOf(node, "scheme").value))
  const cancel = button(t("scheme.cancel"), () => dialog.close())
  const take = element("button", { type: "submit", class: "lightquant-main" }, t("scheme.take"))
  const form = element("form", { method: "dialog" }, groups, element("div", { class: "lightquant-buttons" }, cancel, take))
  form.addEventListener("submit", () => put(node, new FormData(form).get("scheme")))
  const dialog = openDialog(t("scheme.title"), form)
  form.querySelector("input:checked")?.focus()
}

function groupsOf(choice, current) {
  const fitting = choice.schemes.filter((scheme) => scheme.fits)
  const auto = { name: AUTO, state: "runs", kernel: null, why: t("scheme.auto") }
  const groups = Object.entries(STATES).map(([state, { group }]) => [t(group), state, fitting.filter((scheme) => scheme.state === state)])
  groups[0][2].unshift(auto)
  groups.push([t("scheme.unfitGroup", { format: choice.format ?? "" }), "unfit", choice.schemes.filter((scheme) => !scheme.fits)])
  return groups.filter(([, , schemes]) => schemes.length).map(([title, state, schemes]) => groupOf(title, state, schemes, current))
}

function groupOf(title, state, schemes, current) {
  const rows = schemes.map((scheme) => {
    const radio = element("input", { type: "radio", name: "scheme", value: scheme.name, id: newId(), checked: scheme.name === current })
    const why = element("small", { id: newId() }, scheme.why ?? "")
    radio.setAttribute("aria-describedby", why.id)
    const kernel = scheme.kernel && scheme.kernel !== scheme.name ? ` → ${scheme.kernel}` : ""
    return element("div", { class: "lightquant-scheme" }, radio, element("label", { for: radio.id }, `${scheme.name}${kernel}`), why)
  })
  return element("fieldset", {}, markWith(element("legend", {}, title), state), ...rows)
}

function put(node, name) {
  const widget = widgetOf(node, "scheme")
  if (!name || name === widget.value) return
  if (!widget.options.values.includes(name)) widget.options.values.push(name)
  app.canvas.emitBeforeChange() // one step for undo
  widget.value = name
  widget.callback?.(name, app.canvas, node)
  app.canvas.emitAfterChange()
  node.setDirtyCanvas(true, true)
}

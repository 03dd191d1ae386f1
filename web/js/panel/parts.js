// What the parts of the panel are made of.

import { button, dropdown, element, labelled, offer } from "../dom.js"
import { openDialog } from "../dialog.js"
import { optionsOf } from "../definitions.js"
import { t } from "../text.js"

/** By component, what it is called and the node whose dropdown has its checkpoints. */
const COMPONENTS = {
  dit: { text: "panel.dit", loader: "LightQuantLoadDiT" },
  t5: { text: "panel.t5", loader: "LightQuantLoadT5" },
  clip: { text: "panel.clip", loader: "LightQuantLoadCLIP" },
}

const SEARCHING = "find it" // the loaders' own first entry, which is no file

/** What gives what `make` does, made once: a part's controls and what it shows outlive the panel, which is built anew in another language. */
export function once(make) {
  let made = null
  return () => (made ??= make())
}

/** Dropdowns of components and of the chosen one's checkpoints, which `/lightquant` routes take by these names. */
export function checkpointControls() {
  const component = dropdown(Object.keys(COMPONENTS))
  const checkpoint = dropdown([])
  const fill = () => offer(checkpoint, optionsOf(COMPONENTS[component.value].loader, "checkpoint").filter((name) => name !== SEARCHING))
  component.addEventListener("change", fill)
  checkpoint.addEventListener("focus", fill) // there may be new files
  fill()
  return { component, checkpoint }
}

/** Those two with their labels. hint: for the checkpoint's. */
export function checkpointFields({ component, checkpoint }, hint) {
  offer(component, Object.entries(COMPONENTS).map(([name, { text }]) => [name, t(text)]))
  return [labelled(t("panel.component"), component), labelled(t("panel.checkpoint"), checkpoint, hint)]
}

/**
 * A button that does something on the server. Meanwhile it is out of use and `said` tells so; a refusal is told there too.
 * work: gives a promise.
 */
export function working(text, said, work) {
  const made = button(text, async () => {
    made.disabled = true
    say(said, t("panel.working"))
    try {
      say(said, (await work()) ?? "")
    } catch (problem) {
      tell(said)(problem)
    }
    made.disabled = false
  })
  made.classList.add("lightquant-main")
  return made
}

/** The place where a part tells what happened; screen readers read what is put there. */
export const saying = () => element("p", { class: "lightquant-said", role: "status" })

/** Tells something at the place that `saying` gave. */
export function say(said, text, isProblem = false) {
  said.classList.toggle("lightquant-problem", isProblem)
  said.textContent = text
}

/** What tells of a problem at the place that `saying` gave. */
export const tell = (said) => (problem) => say(said, problem.message, true)

/**
 * A report of the server's: its text, its picture where there is one, and a button to see both larger than the panel is.
 * name: what it is, for screen readers; picture: {src, alt}.
 */
export function report(text, name, picture) {
  const parts = () => [printed(text, name), picture && element("img", picture)]
  return [button(t("panel.enlarge"), () => enlarged(name, parts())), ...parts()]
}

/** A text that can be scrolled from the keyboard. */
const printed = (text, label) => element("pre", { tabindex: 0, role: "region", "aria-label": label }, text)

function enlarged(name, parts) {
  const close = element("button", { class: "lightquant-main" }, t("panel.close"))
  const form = element("form", { method: "dialog", class: "lightquant-buttons" }, close)
  openDialog(name, form, ...parts).classList.add("lightquant-wide")
}

/** A command to copy. */
export function copyable(command) {
  const copy = button(t("panel.copy"), async () => {
    await navigator.clipboard.writeText(command)
    copy.textContent = t("panel.copied")
  })
  return element("div", { class: "lightquant-command" }, element("code", {}, command), copy)
}

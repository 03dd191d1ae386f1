// The kernel report: what runs on this machine, what does not and why, and what would install it.

import { element } from "../dom.js"
import { ask, send } from "../server.js"
import { markWith } from "../states.js"
import { t } from "../text.js"
import { askAgain } from "../watch.js"
import { copyable, saying, tell, working } from "./parts.js"

/** By what the report says of a kernel: whether it runs; null where that is not known. */
const GROUPS = [
  { available: true, text: "kernels.run", state: "runs" },
  { available: null, text: "kernels.unchecked", state: "replaced" },
  { available: false, text: "kernels.cannot", state: "cannot" },
]

/** The part of the panel. */
export function kernelsPart() {
  const said = saying()
  const report = element("div")
  const make = (recheck) => async () => {
    show(report, await send("kernels", { recheck }))
    askAgain()
    return t("kernels.done")
  }
  ask("kernels").then((known) => show(report, known), tell(said))
  const buttons = [working(t("kernels.check"), said, make(false)), working(t("kernels.recheck"), said, make(true))]
  buttons[1].classList.remove("lightquant-main")
  return [element("p", {}, t("kernels.about")), element("div", { class: "lightquant-buttons" }, ...buttons), said, report]
}

function show(report, { kernels, auto }) {
  const groups = GROUPS.map((group) => [group, kernels.filter((kernel) => kernel.available === group.available)])
  const shown = groups.filter(([, rows]) => rows.length)
  const taken = auto.filter((each) => each.scheme)
  report.replaceChildren(...(taken.length ? [autoOf(taken)] : []), ...shown.flatMap(([group, rows]) => [headingOf(group, rows), ...rows.map((row) => rowOf(row, group.state))]))
}

const autoOf = (taken) =>
  element("table", {}, element("caption", {}, t("kernels.auto")), element("tbody", {}, ...taken.map(({ format, scheme, why }) => element("tr", { title: why }, element("th", { scope: "row" }, format), element("td", {}, scheme)))))

const headingOf = (group, rows) => markWith(element("h3", {}, `${t(group.text)} (${rows.length})`), group.state)

function rowOf(row, state) {
  const summary = markWith(element("summary", {}, row.scheme, element("small", {}, `${row.package} ${row.version}`)), state)
  const facts = [row.why, row.error === null ? "" : t("kernels.error", { error: row.error.toPrecision(2) }), row.hardware].filter(Boolean)
  return element("details", {}, summary, ...facts.map((fact) => element("p", {}, fact)), row.install && copyable(row.install))
}

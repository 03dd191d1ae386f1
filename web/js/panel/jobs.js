// The list of conversions, with how far each is.

import { button, element } from "../dom.js"
import { api } from "../host.js"
import { cancel, isOver, onJob, refreshJobs } from "../jobs.js"
import { duration, size } from "../sizes.js"
import { t } from "../text.js"
import { say, tell } from "./parts.js"

const STATES = {
  waiting: "convert.waiting",
  running: "convert.running",
  done: "convert.done",
  failed: "convert.failed",
  cancelled: "convert.cancelled",
  gone: "convert.gone",
}

const isProblem = (job) => ["failed", "gone"].includes(job.state)

/**
 * The jobs that the server knows of, and those that it tells of later, the latest first.
 * said: where the end of one is told; draw: shows them in the page's language.
 */
export function jobList(said) {
  const list = element("ul", { class: "lightquant-jobs" })
  const rows = new Map()
  const refresh = () => refreshJobs().catch(tell(said))
  onJob((job, isNews) => {
    if (!rows.has(job.id)) {
      rows.set(job.id, jobRow(job.id, said))
      list.prepend(rows.get(job.id).root)
    }
    rows.get(job.id).update(job)
    if (isNews && isOver(job)) say(said, `${job.target}: ${t(STATES[job.state])}`, isProblem(job))
  })
  api.addEventListener("reconnected", refresh) // what happened meanwhile was told to nobody
  refresh()
  const draw = () => {
    list.setAttribute("aria-label", t("convert.jobs"))
    rows.forEach((row) => row.update())
  }
  return { list, draw }
}

function jobRow(id, said) {
  const title = element("b")
  const state = element("span")
  const bar = element("progress", { max: 1, value: 0 })
  const stop = button("", () => cancel(id).catch(tell(said)))
  let shown = null
  const update = (job = shown) => {
    shown = job
    title.textContent = job.target
    state.textContent = [t(STATES[job.state]), isOver(job) ? "" : `${size(job.done)} / ${size(job.total)}`, job.error].filter(Boolean).join(" · ")
    state.title = job.seconds ? duration(job.seconds) : ""
    state.className = isProblem(job) ? "lightquant-problem" : ""
    bar.value = job.total ? job.done / job.total : 0
    bar.setAttribute("aria-label", job.target)
    stop.textContent = t("convert.cancel")
    stop.setAttribute("aria-label", t("convert.cancelOf", { target: job.target }))
    bar.hidden = stop.hidden = isOver(job)
  }
  return { root: element("li", {}, title, bar, element("div", { class: "lightquant-row" }, state, stop)), update }
}

// The converter: a float checkpoint into a quantized one, on the server, with its progress.

import { button, dropdown, element, labelled, offer } from "../dom.js"
import { optionsOf } from "../definitions.js"
import { allJobs, cancel, convert, isOver, onJob } from "../jobs.js"
import { size, duration } from "../sizes.js"
import { ask } from "../server.js"
import { t } from "../text.js"
import { checkpointFields, say, saying, tell, working } from "./parts.js"

const STATES = {
  waiting: "convert.waiting",
  running: "convert.running",
  done: "convert.done",
  failed: "convert.failed",
  cancelled: "convert.cancelled",
}

/** The part of the panel. */
export function convertPart() {
  const { component, checkpoint } = checkpointFields()
  const said = saying()
  const format = dropdown([])
  ask("kernels").then(({ kernels }) => offer(format, kernels.map((row) => row.format)), tell(said))
  const layout = dropdown(optionsOf("LightQuantSave", "layout"))
  const reader = dropdown(optionsOf("LightQuantSave", "for"))
  const scale = dropdown(optionsOf("LightQuantQuantize", "scale"))
  const filename = element("input", { type: "text", value: "lightquant/my_model", spellcheck: "false" })
  const jobs = jobList(said)
  const wish = () => ({
    component: component.value, checkpoint: checkpoint.value, format: format.value, filename: filename.value,
    layout: layout.value, for: reader.value, scale: scale.value,
  })
  const start = working(t("convert.start"), said, async () => {
    jobs.introduce(await convert(wish()))
    return t("convert.started")
  })
  return [
    element("p", {}, t("convert.about")),
    labelled(t("panel.component"), component),
    labelled(t("panel.checkpoint"), checkpoint, t("convert.checkpointHint")),
    labelled(t("convert.format"), format),
    labelled(t("convert.filename"), filename, t("convert.filenameHint")),
    labelled(t("convert.layout"), layout),
    labelled(t("convert.for"), reader),
    labelled(t("convert.scale"), scale, t("convert.scaleHint")),
    element("div", { class: "lightquant-buttons" }, start),
    said,
    jobs.list,
  ]
}

/** The jobs that the server knows of, and those that it tells of later. said: where a finished one is told. */
function jobList(said) {
  const list = element("ul", { class: "lightquant-jobs", "aria-label": t("convert.jobs") })
  const rows = new Map()
  const show = (job, atEnd = false) => {
    if (!rows.has(job.id)) {
      const row = jobRow(job.id, said)
      rows.set(job.id, row)
      list[atEnd ? "append" : "prepend"](row.root)
    }
    rows.get(job.id).update(job)
  }
  // An answer may come after the events of what has happened since: what is known already is newer.
  const introduce = (job, atEnd = false) => rows.has(job.id) || show(job, atEnd)
  allJobs().then((known) => known.forEach((job) => introduce(job, true)), tell(said))
  onJob((job) => {
    show(job)
    if (isOver(job)) say(said, `${job.target}: ${t(STATES[job.state])}`, job.state === "failed")
  })
  return { list, introduce }
}

function jobRow(id, said) {
  const title = element("b")
  const state = element("span")
  const bar = element("progress", { max: 1, value: 0 })
  const stop = button(t("convert.cancel"), () => cancel(id).catch(tell(said)))
  const update = (job) => {
    title.textContent = job.target
    state.textContent = [t(STATES[job.state]), isOver(job) ? "" : `${size(job.done)} / ${size(job.total)}`, job.error].filter(Boolean).join(" · ")
    state.title = job.seconds ? duration(job.seconds) : ""
    state.className = job.state === "failed" ? "lightquant-problem" : ""
    bar.value = job.total ? job.done / job.total : 0
    bar.setAttribute("aria-label", job.target)
    stop.setAttribute("aria-label", t("convert.cancelOf", { target: job.target }))
    bar.hidden = stop.hidden = isOver(job)
  }
  return { root: element("li", {}, title, bar, element("div", { class: "lightquant-row" }, state, stop)), update }
}

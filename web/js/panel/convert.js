// The converter: a float checkpoint into a quantized one, on the server, with its progress.

import { dropdown, element, labelled, offer } from "../dom.js"
import { optionsOf } from "../definitions.js"
import { convert } from "../jobs.js"
import { ask } from "../server.js"
import { t } from "../text.js"
import { jobList } from "./jobs.js"
import { loraList } from "./loras.js"
import { checkpointControls, checkpointFields, once, saying, tell, working } from "./parts.js"

/** What the names of a DiT's tensors can be, and their texts. */
const NAMES = { original: "convert.namesOriginal", diffusers: "convert.namesDiffusers", "as-they-are": "convert.namesKept" }

const text = (value) => element("input", { type: "text", value, spellcheck: "false" })

const controls = once(() => {
  const said = saying()
  const format = dropdown([])
  ask("kernels").then(({ kernels }) => offer(format, kernels.map((row) => row.format)), tell(said))
  return {
    ...checkpointControls(),
    format,
    filename: text("lightquant/my_model"),
    layout: dropdown(optionsOf("LightQuantSave", "layout")),
    reader: dropdown(optionsOf("LightQuantSave", "for")),
    scale: dropdown(optionsOf("LightQuantQuantize", "scale")),
    dtype: dropdown(optionsOf("LightQuantLoadDiT", "dtype")),
    names: dropdown(Object.keys(NAMES)),
    keep: text(""),
    loras: loraList(),
    said,
    jobs: jobList(said),
  }
})

/** The part of the panel. */
export function convertPart() {
  const made = controls()
  made.loras.draw()
  made.jobs.draw()
  offer(made.names, Object.entries(NAMES).map(([name, key]) => [name, t(key)]))
  const start = working(t("convert.start"), made.said, async () => {
    await convert(wishOf(made))
    return t("convert.started")
  })
  return [
    element("p", {}, t("convert.about")),
    ...checkpointFields(made, t("convert.checkpointHint")),
    labelled(t("convert.format"), made.format),
    labelled(t("convert.filename"), made.filename, t("convert.filenameHint")),
    labelled(t("convert.layout"), made.layout),
    labelled(t("convert.for"), made.reader),
    labelled(t("convert.scale"), made.scale, t("convert.scaleHint")),
    element(
      "details",
      {},
      element("summary", {}, t("convert.more")),
      made.loras.root,
      labelled(t("convert.keep"), made.keep, t("convert.keepHint")),
      labelled(t("convert.dtype"), made.dtype, t("convert.dtypeHint")),
      labelled(t("convert.names"), made.names, t("convert.namesHint")),
    ),
    element("div", { class: "lightquant-buttons" }, start),
    made.said,
    made.jobs.list,
  ]
}

/** What the route takes. */
function wishOf(made) {
  const fields = ["component", "checkpoint", "format", "filename", "layout", "scale", "dtype", "names"]
  const values = Object.fromEntries(fields.map((name) => [name, made[name].value]))
  return { ...values, for: made.reader.value, keep: made.keep.value.split(/[\s,]+/).filter(Boolean), loras: made.loras.wanted() }
}

// What stands under a loader's widgets, line by line.

import { filesOf } from "../loaders.js"
import { size } from "../sizes.js"
import { STATES } from "../states.js"
import { t } from "../text.js"

/** How many rows there are for each file. */
export const ROWS_A_FILE = 3

/**
 * The lines of a choice, or where there is none of the problem that the server has told of:
 * {text, title: more about it, state: one of STATES or none, rows: how many it may take, isProblem}.
 * A pair's are those of one file below those of the other.
 */
export function linesOf(choice, problem) {
  if (choice) return filesOf(choice).flatMap((file) => linesOfFile(file, choice.schemes))
  return [problem ? { text: problem, rows: 2, isProblem: true } : { text: t("status.asking") }]
}

function linesOfFile(file, schemes) {
  const name = { text: file.file ?? t("status.noFile") }
  if (file.problem) return [name, { text: file.problem, rows: 2, isProblem: true }]
  const facts = [file.format, size(file.bytes), file.model].filter(Boolean).join(" · ")
  return [name, { text: facts, title: file.format_note }, kernelLine(file, schemes)]
}

function kernelLine({ chosen, weights_vram: vram }, schemes) {
  const state = schemes.find((scheme) => scheme.name === chosen?.scheme)?.state ?? "runs"
  const weights = vram === null ? "" : t("status.vram", { size: size(vram) })
  return {
    text: [chosen?.kernel, weights].filter(Boolean).join(" · "),
    title: [t(STATES[state].text), chosen?.why].filter(Boolean).join(": "),
    state,
  }
}

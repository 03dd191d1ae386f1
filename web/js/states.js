// What can become of a scheme on this machine, in the order that it is shown in.

/** By the server's name for it: its mark, its text, and the heading of a group of such. The colours are in the style sheet. */
export const STATES = {
  runs: { mark: "✓", text: "scheme.runs", group: "scheme.runsGroup" },
  replaced: { mark: "⇄", text: "scheme.replaced", group: "scheme.replacedGroup" },
  cannot: { mark: "✗", text: "scheme.cannot", group: "scheme.cannotGroup" },
}

/** Of schemes whose format is not the checkpoint's, whatever else is true of them. */
const UNFIT = "≠"

/** The value that is no scheme: the server picks. */
export const AUTO = "auto"

/** The schemes of a choice in the order of STATES. */
export const inOrder = (schemes) => Object.keys(STATES).flatMap((state) => schemes.filter((scheme) => scheme.state === state))

/** Puts the mark of a state, or of "unfit", before what an element shows. */
export function markWith(element, state) {
  element.dataset.lightquant = state
  element.dataset.lightquantMark = STATES[state]?.mark ?? UNFIT
  return element
}

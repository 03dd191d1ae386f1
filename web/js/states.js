// What can become of a scheme on this machine, in the order that it is shown in.

/** By the server's name for it: the text, and what it means. */
export const STATES = {
  runs: { text: "scheme.runs", group: "scheme.runsGroup" },
  replaced: { text: "scheme.replaced", group: "scheme.replacedGroup" },
  cannot: { text: "scheme.cannot", group: "scheme.cannotGroup" },
}

/** The value that is no scheme: the server picks. */
export const AUTO = "auto"

/** The schemes of a choice in the order of STATES. */
export const inOrder = (schemes) => Object.keys(STATES).flatMap((state) => schemes.filter((scheme) => scheme.state === state))

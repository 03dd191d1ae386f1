// The loaders in the graph: which there are, and which of them changed what they ask.

import { api, chain, debounced } from "./host.js"
import { choiceFor, forgetChoices } from "./choice.js"
import { loaderOf, questionOf } from "./loaders.js"

const WAIT = 120 // milliseconds in which changes of one moment come together

/** By loader in the graph: what it asked last, and the answer, null until it is there. */
const loaders = new Map()
const listeners = new Set()
const look = debounced(lookAtAll, WAIT)

/** Calls `then` with a loader and its choice each time that there is a new one. */
export function onChoice(then) {
  listeners.add(then)
}

/** The loaders in the graph with their choices, as [node, choice]; a choice is null until the server has answered. */
export const choices = () => [...loaders].map(([node, { choice }]) => [node, choice])

/** The choice of a loader, or null. */
export const choiceOf = (node) => loaders.get(node)?.choice ?? null

/** Keeps an eye on a loader from the time that it comes into the graph until it leaves it. */
export function watch(node) {
  chain(node, "onAdded", () => {
    loaders.set(node, { asked: null, choice: null })
    look()
  })
  chain(node, "onRemoved", () => {
    loaders.delete(node)
    look()
  })
  for (const widget of node.widgets ?? []) chain(widget, "callback", look)
}

/** Asks for every loader anew: files, kernels, settings or the language have changed. */
export function askAgain() {
  forgetChoices()
  loaders.forEach((state) => (state.asked = null))
  look()
}

/** Looks at the loaders after each change of the graph: undo and pasting change widgets without calling them. */
export function startWatching() {
  api.addEventListener("graphChanged", look)
}

function lookAtAll() {
  for (const [node, state] of loaders) if (loaderOf(node) && node.graph) lookAt(node, state)
}

async function lookAt(node, state) {
  const question = questionOf(node)
  const asked = JSON.stringify(question)
  if (asked === state.asked) return
  state.asked = asked
  const choice = await choiceFor(question)
  if (state.asked !== asked || !loaders.has(node)) return // it changed while the server thought
  state.choice = choice
  listeners.forEach((then) => then(node, choice))
}

// The loaders in the graph: which there are, and which of them changed what they ask.

import { api, app, chain, debounced } from "./host.js"
import { choiceFor, forgetChoices } from "./choice.js"
import { loadersIn, questionOf } from "./loaders.js"

const WAIT = 120 // milliseconds in which changes of one moment come together

/** By loader: what it asked last (a promise of choice.js's), the answer, and why there is none. Both are null until the server has said something. */
const states = new WeakMap()
const choiceListeners = new Set()
const graphListeners = new Set()

/** Looks at all loaders, once for all calls of a moment. */
export const look = debounced(lookAtAll, WAIT)

/** Calls `then` with a loader, its choice, and why there is none, each time that the server has said something new. */
export function onChoice(then) {
  choiceListeners.add(then)
}

/** Calls `then` after each change of the graph. */
export function onGraph(then) {
  graphListeners.add(then)
}

/** The loaders in the graph with what is known of them: [node, choice or null, why there is none or null]. */
export const choices = () =>
  loadersIn(app.rootGraph ?? app.graph).map((node) => {
    const { choice, problem } = stateOf(node)
    return [node, choice, problem]
  })

/** The choice of a loader, or null. */
export const choiceOf = (node) => stateOf(node).choice

/** Has a loader looked at when it comes into the graph, leaves it, or is changed by the user. */
export function watch(node) {
  chain(node, "onAdded", look)
  chain(node, "onRemoved", look)
  for (const widget of node.widgets ?? []) chain(widget, "callback", look)
}

/** Asks for every loader anew: files, kernels, settings or the language have changed. */
export function askAgain() {
  forgetChoices()
  look()
}

/** Looks at the loaders after each change of the graph: undo and pasting change widgets without calling them. */
export function startWatching() {
  api.addEventListener("graphChanged", look)
}

function stateOf(node) {
  if (!states.has(node)) states.set(node, { asked: null, choice: null, problem: null })
  return states.get(node)
}

function lookAtAll() {
  choices().forEach(([node]) => lookAt(node))
  graphListeners.forEach((then) => then())
}

async function lookAt(node) {
  const state = stateOf(node)
  const asked = choiceFor(questionOf(node))
  if (asked === state.asked) return
  state.asked = asked
  const { choice, problem } = await asked
  if (state.asked !== asked) return // it changed while the server thought, or is asked anew
  Object.assign(state, { choice, problem })
  choiceListeners.forEach((then) => then(node, choice, problem))
}

// The nodes that load a quantized model, and what they ask the server.

/** By node class: the component that it loads, and its dropdowns of checkpoints under the names that the route /lightquant/choice has for them. */
export const LOADERS = {
  LightQuantLoadDiT: { component: "dit", checkpoints: { checkpoint: "checkpoint" } },
  LightQuantLoadDiTPair: { component: "dit", checkpoints: { high_noise: "checkpoint", low_noise: "low_noise" } },
  LightQuantLoadT5: { component: "t5", checkpoints: { checkpoint: "checkpoint" } },
  LightQuantLoadCLIP: { component: "clip", checkpoints: { checkpoint: "checkpoint" } },
}

/** The loader's row in the table, or undefined where the node is another. */
export const loaderOf = (node) => LOADERS[node?.comfyClass]

/**
 * The loaders of a graph and of its subgraphs, those of a subgraph once however often it is used.
 * They are looked for each time, as not every node is told that it goes: of a subgraph's none is when ComfyUI undoes or opens another workflow.
 */
export function loadersIn(graph, seen = new Set()) {
  if (!graph || seen.has(graph)) return []
  seen.add(graph)
  return graph.nodes.flatMap((node) => (node.isSubgraphNode?.() ? loadersIn(node.subgraph, seen) : loaderOf(node) ? [node] : []))
}

/** A widget of the node by its input's name. */
export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name)

/** What the server is asked about a loader as its widgets stand. */
export function questionOf(node) {
  const { component, checkpoints } = loaderOf(node)
  const question = { component }
  for (const [input, name] of Object.entries(checkpoints)) question[name] = widgetOf(node, input).value
  for (const input of ["scheme", "dtype", "missing_kernel", "tokenizer"]) {
    const widget = widgetOf(node, input) // the T5 loader alone has the last
    if (widget) question[input] = widget.value
  }
  return question
}

/** What is said of each of the files that a loader takes: one, or the two of a pair. */
export const filesOf = (choice) => [choice, choice.low_noise].filter(Boolean)

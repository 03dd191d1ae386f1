// What the server's nodes offer in their dropdowns: the panel offers the same.

const definitions = new Map()

/** Keeps a node's definition, as the server gives it. */
export function learn(definition) {
  definitions.set(definition.name, definition)
}

/** The values of a node's dropdown; empty where the server has no such node. */
export function optionsOf(node, input) {
  const { required = {}, optional = {} } = definitions.get(node)?.input ?? {}
  const [type, more] = required[input] ?? optional[input] ?? [[]]
  return Array.isArray(type) ? type : (more?.options ?? [])
}

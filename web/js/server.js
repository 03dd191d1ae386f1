// The pack's routes on ComfyUI's server.

import { api } from "./host.js"
import { language, t } from "./text.js"

/** The answer of a server that can't or won't, in its words; with status 0 there was no answer. */
export class Refusal extends Error {
  constructor(text, status) {
    super(text)
    this.status = status
  }
}

let served = false

/** Whether the server has the routes. It has not where it was started before the pack was updated, or could not load the pack. */
export const isServed = () => served

/** Looks for the mark of a server with routes in the definition of one of its nodes: asking for a route that isn't there would be an error in the console. */
export function lookForRoutes(definition) {
  served ||= definition.input?.required?.scheme?.[1]?.lightquant?.routes >= 1
}

/** What a route answers to a question. Raises Refusal. */
export async function ask(route, query = {}) {
  return answerOf(`/lightquant/${route}?${new URLSearchParams({ ...query, lang: language() })}`, {})
}

/** What a route answers to JSON that is posted to it. Raises Refusal. */
export async function send(route, body = {}) {
  const headers = { "Content-Type": "application/json" }
  const request = { method: "POST", headers, body: JSON.stringify(body) }
  return answerOf(`/lightquant/${route}?${new URLSearchParams({ lang: language() })}`, request)
}

async function answerOf(path, request) {
  let answer, body
  try {
    answer = await api.fetchApi(path, request)
    body = await answer.json()
  } catch {
    throw answer ? new Refusal(t("server.failed", { status: answer.status }), answer.status) : new Refusal(t("server.absent"), 0)
  }
  if (!answer.ok) throw new Refusal(body.error ?? t("server.failed", { status: answer.status }), answer.status)
  return body
}

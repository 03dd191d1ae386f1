// Conversions that the server works on. It sends each change of one; only what was there before the page opened is asked for.

import { api } from "./host.js"
import { ask, send } from "./server.js"

const CHANGED = "lightquant.job"

/** Calls `then` with a job each time that the server tells of a change. */
export function onJob(then) {
  api.addEventListener(CHANGED, (event) => then(event.detail))
}

/** All jobs that the server remembers, the latest first. */
export const allJobs = async () => (await ask("jobs")).jobs.reverse()

/** Starts a conversion and gives its job. Raises Refusal. */
export const convert = (wish) => send("jobs", { kind: "convert", ...wish })

/** Stops a job. Raises Refusal. */
export const cancel = (id) => send(`jobs/${encodeURIComponent(id)}/cancel`)

/** Whether a job is over. */
export const isOver = (job) => !["waiting", "running"].includes(job.state)

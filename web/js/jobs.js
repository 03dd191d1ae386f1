// Conversions that the server works on. It tells of each change of one; what was before the page opened, or without a connection, is asked for.

import { api } from "./host.js"
import { ask, send } from "./server.js"

const CHANGED = "lightquant.job"

/** By id: the jobs as they were told of last. */
const jobs = new Map()
const listeners = new Set()

let told = new Set() // of which there was news since jobs were asked for last

/** Calls `then` with a job that has changed, or was not known before; and with whether that is news, and not what had ended before the page knew of it. */
export function onJob(then) {
  listeners.add(then)
}

/** Listens to what the server tells. */
export function startJobs() {
  api.addEventListener(CHANGED, ({ detail: job }) => {
    told.add(job.id)
    learn(job, true)
  })
}

/** Asks for all jobs. One that has not ended and that the server knows no more, as it was started again, is "gone". Raises Refusal. */
export async function refreshJobs() {
  told = new Set()
  const { jobs: found } = await ask("jobs")
  const ids = found.map(({ id }) => id)
  const gone = [...jobs.values()].filter(({ id }) => !ids.includes(id)).map((job) => ({ ...job, state: "gone" }))
  for (const job of [...found, ...gone]) {
    const before = jobs.get(job.id)
    if (!told.has(job.id) && !(before && isOver(before))) learn(job, Boolean(before))
  }
}

/** Starts a conversion. Raises Refusal. */
export async function convert(wish) {
  const job = await send("jobs", { kind: "convert", ...wish })
  if (!jobs.has(job.id)) learn(job, true) // else what was told of it is newer
}

/** Stops a job. Raises Refusal. */
export const cancel = (id) => send(`jobs/${encodeURIComponent(id)}/cancel`)

/** Whether a job is over. */
export const isOver = (job) => !["waiting", "running"].includes(job.state)

function learn(job, isNews) {
  jobs.set(job.id, job)
  listeners.forEach((then) => then(job, isNews))
}

// What the server says a loader would do: asked once for each question, however many loaders have it.

import { ask } from "./server.js"

const answers = new Map()

/** The answer to a question (loaders.js), or null where the server gives none. */
export function choiceFor(question) {
  const key = JSON.stringify(question)
  if (!answers.has(key)) {
    const asked = ask("choice", question).catch(() => {
      answers.delete(key) // a server that could not answer may do so later
      return null
    })
    answers.set(key, asked)
  }
  return answers.get(key)
}

/** Drops all answers. */
export const forgetChoices = () => answers.clear()

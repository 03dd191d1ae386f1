// What the server says a loader would do: asked once for each question, however many loaders have it.

import { ask } from "./server.js"

const answers = new Map()

/**
 * A promise of the answer to a question (loaders.js): {choice, problem}, of which one is null; problem: why the server gives no answer.
 * It is the same promise for the same question until the answers are forgotten. A question without an answer is asked anew the next time.
 */
export function choiceFor(question) {
  const key = JSON.stringify(question)
  if (!answers.has(key)) {
    const asked = ask("choice", question).then(
      (choice) => ({ choice, problem: null }),
      ({ message }) => {
        if (answers.get(key) === asked) answers.delete(key)
        return { choice: null, problem: message }
      },
    )
    answers.set(key, asked)
  }
  return answers.get(key)
}

/** Drops all answers. */
export const forgetChoices = () => answers.clear()

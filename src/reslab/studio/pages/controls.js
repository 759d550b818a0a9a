// What starts, stops and orders runs.

import {ask, el, say} from "./api.js"

const ACTIONS = {
  stop: {text: "Stop", of: ["running"]},
  resume: {text: "Resume", of: ["interrupted", "failed"]},
  rerun: {text: "Rerun", of: ["finished", "interrupted", "failed"]},
}

// A button that asks the server to do something; what it refuses stands in the status line.
export function action(text, path, body, attributes = {}) {
  const act = async ({target}) => {
    target.disabled = true
    say(await ask(path, body()).then(() => "", (error) => error.message))
    target.disabled = false
  }
  return el("button", {type: "button", onclick: act, ...attributes}, text)
}

// Buttons for what can be done with some of the runs, each of which has `name` and `state`.
export function controls(runs) {
  return Object.entries(ACTIONS).flatMap(([name, {text, of}]) => {
    const fit = runs.filter((run) => of.includes(run.state)).map((run) => run.name)
    const some = fit.length < runs.length ? ` ${fit.length}` : ""
    return fit.length ? [action(text + some, `runs/${name}`, () => ({runs: fit}))] : []
  })
}

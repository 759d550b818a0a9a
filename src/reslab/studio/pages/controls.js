// What starts, stops and orders runs: buttons for those that are selected, and the queue.

import {ask, el, redraw, say} from "./api.js"
import {action} from "./parts.js"

// What can be done with runs of which states.
const ACTIONS = {
  Stop: ["running"], Resume: ["interrupted", "failed"], Rerun: ["finished", "interrupted", "failed"],
}

// Buttons for what can be done with some of the runs, each of which has `name` and `state`.
export function controls(runs) {
  return Object.entries(ACTIONS).flatMap(([name, states]) => {
    const fit = runs.filter((run) => states.includes(run.state)).map((run) => run.name)
    const text = fit.length < runs.length ? `${name} ${fit.length}` : name
    return fit.length ? [action(text, () => ask(`runs/${name.toLowerCase()}`, {runs: fit}))] : []
  })
}

// Draws the queue in an element.
export function drawQueue(place, {entries, others, at_once}) {
  const number = el("input", {type: "number", min: 1, max: 64, value: `${at_once}`, "aria-label": "Runs at once",
    onchange: () => ask("queue/at-once", {number: +number.value}).catch((error) => say(error.message))})
  const waits = (entry) => entry?.state == "waiting"
  const ids = entries.map((one) => one.id)
  const moved = (at, by) => ids.toSpliced(at, 1).toSpliced(at + by, 0, ids[at])
  const line = (one, at) => {
    const small = (text, label, path, ids, disabled) =>
      action(text, () => ask(path, {ids}), {class: "quiet", "aria-label": `${label} ${one.name}`, disabled})
    const end = one.state == "running" ? "Stop" : "Remove"
    return el("li.row",
      el("span", {class: `state ${waits(one) ? "interrupted" : one.state}`}, one.stopping ? "stopping" : one.state),
      el("span.soft.done"), el("span.push",
        waits(one) && small("↑", "Earlier:", "queue/order", moved(at, -1), !waits(entries[at - 1])),
        waits(one) && small("↓", "Later:", "queue/order", moved(at, 1), !waits(entries[at + 1])),
        small(end, end, "queue/remove", [one.id], one.stopping)),
      el("div.what", one.name, el("div.keys", one.overrides),
        el("div.keys.error", one.reason)))
  }
  redraw(place, [at_once, others, entries.map((one) => [one.id, one.state, one.stopping])], () => [
    el("div.row", el("h2", "Queue"), el("label.check.push", number, "at once")),
    entries.length ? el("ol", entries.map(line)) : el("p.hint", "Nothing waits."),
    others.length > 0 && el("p.hint", `Begun elsewhere, and counted: ${others.join(", ")}`)])
  for (const [at, span] of [...place.querySelectorAll(".done")].entries()) {
    const {done, left} = entries[at]
    const share = done != null && `${Math.round(100 * done)} %`
    span.textContent = [share, left && `${left} left`].filter(Boolean).join(", ")
  }
}

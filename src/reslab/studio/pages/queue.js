// The queue: what goes on, what waits in which order, what was refused.

import {ask, el, say} from "./api.js"
import {action} from "./controls.js"

// Draws it in an element, and leaves the focus where it is.
export function drawQueue(place, {entries, others, at_once}) {
  const number = el("input", {type: "number", min: 1, max: 64, value: `${at_once}`, "aria-label": "Runs at once",
    onchange: () => ask("queue/at-once", {number: Number(number.value)}).catch((error) => say(error.message))})
  const moved = (at, by) => {
    const ids = entries.map((one) => one.id)
    ids.splice(at + by, 0, ...ids.splice(at, 1))
    return {ids}
  }
  const line = (one, at) => {
    const waits = (entry) => entry?.state == "waiting"
    const small = (text, label, path, body, disabled) =>
      action(text, path, body, {class: "quiet", "aria-label": `${label} ${one.name}`, disabled})
    const end = one.state == "running" ? "Stop" : "Remove"
    return el("li", {class: "row"},
      el("span", {class: `state ${waits(one) ? "interrupted" : one.state}`}, one.stopping ? "stopping" : one.state),
      el("span", {class: "soft"}, [one.done != null && `${Math.round(100 * one.done)} %`, one.left && `${one.left} left`]
        .filter(Boolean).join(", ")),
      el("span", {class: "push"},
        waits(one) && small("↑", "Earlier:", "queue/order", () => moved(at, -1), !waits(entries[at - 1])),
        waits(one) && small("↓", "Later:", "queue/order", () => moved(at, 1), !waits(entries[at + 1])),
        small(end, end, "queue/remove", () => ({ids: [one.id]}), one.stopping)),
      el("div", {class: "what"}, one.name, el("div", {class: "keys"}, one.overrides),
        one.reason && el("div", {class: "keys error"}, one.reason)))
  }
  const focused = place.contains(document.activeElement) && document.activeElement.ariaLabel
  const counted = others.length > 0 && `Begun elsewhere, and counted: ${others.join(", ")}`
  place.replaceChildren(
    el("div", {class: "row"}, el("h2", {}, "Queue"), el("label", {class: "check push"}, number, "at once")),
    entries.length ? el("ol", {}, entries.map(line)) : el("p", {class: "hint"}, "Nothing waits."),
    el("p", {class: "hint"}, counted || ""))
  if (focused) place.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus()
}

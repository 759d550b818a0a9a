// What several views are made of.

import {el, say} from "./api.js"
import {link} from "./app.js"

export const button = (text, onclick, attributes = {}) =>
  el("button", {type: "button", ...attributes, onclick}, text)

// A button that does something which takes a while; why it fails stands in the status line.
export function action(text, work, attributes) {
  return button(text, async ({target}) => {
    target.disabled = true
    say(await work().then(() => "", (error) => error.message))
    target.disabled = false
  }, attributes)
}

// A choice of pairs of a value and its text; `then` is called with the value that is chosen.
export const select = (options, chosen, then, attributes = {}) =>
  el("select", {...attributes, onchange: ({target}) => then(target.value)},
    options.map(([value, text]) => el("option", {value, selected: value == chosen}, text)))

export const check = (text, checked, then) => el("label.check",
  el("input", {type: "checkbox", checked, onchange: ({target}) => then(target.checked)}), text)

// What stands where there is nothing yet: what to do.
export const empty = (title, text, ...below) =>
  el("div.panel.empty", el("h2", title), text && el("p", text), below.map((one) => el("p", one)))

export const primary = (text, view, params) => el("a.button.primary", {href: link(view, params)}, text)

export const firstCommand = () =>
  el("code", "reslab train dataset=digits model=baseline_cnn trainer.max_epochs=3")

// What several views are made of.

import {el, say} from "./api.js"

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

// What the server draws (`pages/*.html`): shown, kept true, and listened to.

import {ask, poll, say} from "./api.js"
import {link, remember} from "./app.js"

const kept = new WeakSet() // parts that are asked for again and again

// A view that is nothing else: what its forms have is in the address.
export function show(place, params, view) {
  const look = keep(place, () => `${view}?${params}`)
  listen(place)
  place.addEventListener("change", ({target}) => target.form?.requestSubmit())
  place.addEventListener("submit", (event) => {
    event.preventDefault()
    params = filled(event.target)
    remember(params)
    look()
  })
}

// What is filled in in a form.
export const filled = (form) =>
  new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()))

// Draws what a path answers, and again after as many seconds as that says by `data-again`; `then` is
// told. Returns what does so at once.
export function keep(place, path, then) {
  kept.add(place)
  return poll(path, (html) => {
    if (!place.isConnected) return false
    put(place, html)
    then?.(place)
    return Number(place.firstElementChild.dataset.again ?? 0) || false
  }, 3)
}

// Has a place show HTML of the server's. A part of it may be answered elsewhere, `data-from`.
export function put(place, html) {
  const focused = document.activeElement, whole = document.createElement("template")
  whole.innerHTML = html
  match(place, whole.content)
  for (const part of place.querySelectorAll("[data-from]"))
    if (!kept.has(part)) keep(part, part.dataset.from)
  if (!focused.isConnected)
    place.querySelector(`[aria-label="${CSS.escape(focused.ariaLabel)}"]`)?.focus({preventScroll: true})
}

// Makes what is in a node what is in another, and leaves alone what is the same: a focus, a button
// that is being pressed, what is typed, what is opened.
function match(place, other) {
  const all = [...other.childNodes]
  for (const [at, now] of all.entries()) {
    const old = place.childNodes[at]
    if (!old) place.append(now)
    else if (old.isEqualNode(now)) continue
    else if (old.nodeName != now.nodeName || old.id != now.id || old.dataset?.from != now.dataset?.from)
      old.replaceWith(now)
    else if (now.nodeType == Node.TEXT_NODE) old.data = now.data
    else {
      for (const {name} of [...old.attributes])
        if (!now.hasAttribute(name) && name != "open") old.removeAttribute(name)
      for (const {name, value} of now.attributes) if (old.getAttribute(name) != value) {
        old.setAttribute(name, value)
        if (name == "value" && old != document.activeElement) old.value = value
      }
      if (!now.dataset.from) match(old, now)
    }
  }
  while (place.childNodes.length > all.length) place.lastChild.remove()
}

// What a button in a place has as its value is sent where it says; then a view is shown if it says one.
export function listen(place) {
  place.addEventListener("click", async ({target}) => {
    const button = target.closest("[data-sends]")
    if (!button) return
    button.disabled = true
    try {
      await ask(button.dataset.sends, JSON.parse(button.value))
      say("")
      if (button.dataset.then) location.hash = link(button.dataset.then)
    } catch (error) {
      say(error.message)
      button.disabled = false // else when it is drawn again
    }
  })
}

// What the server draws (`pages/*.html`): shown, kept true, and listened to.

import {ask, el, poll, say} from "./api.js"
import {link, remember} from "./app.js"
import {figure} from "./bokeh.js"

const kept = new WeakSet() // parts that are asked for again and again

// A view that is nothing else: what its forms have is in the address.
export function show(place, params, view) {
  const look = keep(place, () => `${view}?${params}`)
  listen(place)
  place.addEventListener("change", ({target}) => target.form?.requestSubmit())
  place.addEventListener("submit", (event) => {
    event.preventDefault()
    const before = String(params)
    params = filled(event.target)
    if (before == params) return // by Enter a field has changed, too
    remember(params)
    look()
  })
}

// What is filled in in a form.
export const filled = (form) =>
  new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()))

// Draws what a path answers, and again after as many seconds as that says by `data-again`; `then` is
// told. Returns what does so at once.
export function keep(place, path, then, refused) {
  kept.add(place)
  return poll(path, (html) => {
    put(place, html)
    then?.(place)
    return Number(place.firstElementChild.dataset.again ?? 0) || false
  }, 3, () => place.isConnected, refused)
}

// Has a place show HTML of the server's. A part of it may be answered elsewhere, `data-from`.
export function put(place, html) {
  const focused = document.activeElement, whole = document.createElement("template")
  whole.innerHTML = html
  match(place, whole.content)
  for (const part of place.querySelectorAll("[data-from]")) if (!kept.has(part))
    keep(part, part.dataset.from, null, (error) => update(part, el("p.error", {role: "status"}, error.message)))
  for (const part of place.querySelectorAll("[data-drawn]")) if (!kept.has(part) && kept.add(part))
    figure(part, part.dataset.drawn).catch((error) => update(part, el("p.error", error.message)))
  if (!focused.isConnected)
    place.querySelector(`[aria-label="${CSS.escape(focused.ariaLabel)}"]:enabled`)?.focus({preventScroll: true})
}

// Has a place show nodes, of which those that are there already stay; who listens is around them.
export function update(place, ...nodes) {
  const whole = new DocumentFragment()
  whole.append(...nodes)
  match(place, whole)
}

// What an element is known by among its siblings, wherever it stands.
const known = ({nodeName, id, dataset = {}, ariaLabel, value}) => id || dataset.from || dataset.state ||
  ariaLabel || (nodeName == "OPTION" && `option ${value}`)

// Makes what is in a node what is in another, and leaves alone what is the same: a focus, a button
// that is being pressed, what is typed, what is opened.
function match(place, other) {
  const all = [...other.childNodes], names = new Set(all.map(known))
  const there = new Map([...place.childNodes].map((one) => [known(one), one]))
  for (const [name, one] of there) if (name && !names.has(name)) one.remove()
  let next = place.firstChild
  for (const now of all) {
    const name = known(now)
    while (name && next && !known(next)) next = [next.nextSibling, next.remove()][0]
    const old = name ? there.get(name) : next && !known(next) && next
    if (old?.nodeName == now.nodeName) {
      there.delete(name)
      if (old == next) next = next.nextSibling
      else place.insertBefore(old, next)
      renew(old, now)
    } else place.insertBefore(now, next)
  }
  while (next) next = [next.nextSibling, next.remove()][0]
}

// Makes a node what another is. What `data-said` has inside is the page's own.
function renew(old, now) {
  if (now.nodeType != Node.ELEMENT_NODE) return old.data == now.data || (old.data = now.data)
  const {value: filledIn, checked, indeterminate} = now
  for (const {name} of [...old.attributes])
    if (!now.hasAttribute(name) && !["open", "aria-invalid"].includes(name)) old.removeAttribute(name)
  for (const {name, value} of now.attributes)
    if (old.getAttribute(name) != value) old.setAttribute(name, value)
  if (!now.dataset.from && !("said" in now.dataset)) match(old, now)
  if (old.type == "checkbox" || old.type == "radio") // what was once chosen heeds no attribute
    Object.assign(old, {checked, indeterminate})
  else if (old.matches("select, input:not([type=file]):not(:focus)") && old.value != filledIn)
    old.value = filledIn
}

// What a button in a place has as its value is sent where it says; then a view is shown if it says one.
// One that says Copy copies what stands below its row.
export function listen(place) {
  place.addEventListener("click", async ({target}) => {
    if (target.textContent == "Copy") copy(target)
    const button = target.closest("[data-sends]")
    if (!button || "busy" in button.dataset) return
    button.dataset.busy = "" // not disabled, which would take the focus
    const words = button.closest("fieldset")?.elements.words.value // which stand beside it, if any do
    const error = await ask(button.dataset.sends, {words, ...JSON.parse(button.value)}).then(() => null, (one) => one)
    say(error ? error.message : "")
    if (!error && button.dataset.then) location.hash = link(button.dataset.then)
    delete button.dataset.busy
  })
}

function copy(button) {
  const command = button.parentElement.nextElementSibling
  getSelection().selectAllChildren(command) // for where the clipboard is closed
  navigator.clipboard?.writeText(command.textContent).then(() => { button.textContent = "Copied" }, () => {})
}

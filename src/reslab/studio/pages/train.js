// The form of a run, and what it will be. What is filled in is in the address.

import {ask, el, ending, poll, say} from "./api.js"
import {remember} from "./app.js"
import {filled, keep, listen, put} from "./drawn.js"

export function show(main, params) {
  const signal = ending()
  let asked, offered, queued, drawn, timer

  const values = () => Object.fromEntries(params)
  const form = el("form.form", {oninput: typed, onchange: ({target}) => target.matches("select") && fill(),
    onsubmit: (event) => event.preventDefault()})
  const will = el("div", el("h2", "What it will be"),
    el("p.soft", "PyTorch is being loaded, which takes some seconds …"))
  const picture = el("div"), drawing = el("details", {ontoggle: draw},
    el("summary", "Drawing of the network"), picture)
  const queue = el("section.panel", {"aria-label": "Queue", onchange: ({target}) =>
    ask("queue/at-once", {number: target.valueAsNumber}).then(() => say(""), (error) => say(error.message))})
  main.append(el("h1", "Train"), el("div.train", form, el("div.aside",
    el("section.panel.will", {"aria-label": "What it will be"}, will, drawing), queue)))

  function typed() {
    params = filled(form)
    remember(params)
    will.inert = true // until it is known what that will be
    clearTimeout(timer)
    timer = setTimeout(look, 250)
  }

  // Draws the form anew, since what there is to fill in depends on what is chosen.
  const fill = poll(() => ["train/form", {values: Object.fromEntries(asked = params)}], (html) => {
    if (asked != params) return 0 // something was filled in meanwhile
    put(form, html)
    params = filled(form) // what has no field is dropped
    remember(params)
    look()
    return false
  })
  const look = poll(() => ["train/preview", {values: values()}], (html) => {
    tell(html)
    return false
  })

  function tell(html) {
    put(will, html)
    will.inert = false
    const {errors, about} = JSON.parse(will.firstElementChild.dataset.said)
    for (const input of form.querySelectorAll("[name]")) {
      const fault = errors[input.name] ?? "", known = about[input.name], field = input.parentElement
      field.querySelector(".error").textContent = fault.replace(/^\S+?=.*?: |^[\w.]+:? /, "")
      input.setAttribute("aria-invalid", Boolean(fault))
      if (fault) field.closest("details")?.setAttribute("open", "")
      if (!known) continue
      field.querySelector("span > small").textContent = known.range
      field.querySelector(".soft").textContent ||= known.text
      input.list?.replaceChildren(...known.choices.map((value) => el("option", {value})))
    }
    drawing.hidden = !will.querySelector("pre") // something is wrong
    if (!drawing.hidden) draw()
  }

  async function draw() {
    const wanted = String(params)
    if (!drawing.open || drawn == wanted) return
    drawn = wanted
    try {
      const html = await ask("train/drawing", {values: values()})
      if (drawn == wanted) put(picture, html)
    } catch (error) {
      if (!signal.aborted) picture.replaceChildren(el("p.soft", error.message))
    }
  }

  listen(main)
  keep(queue, "queue", () => {
    const state = queue.firstElementChild.dataset
    if (offered && offered != state.offered) fill() // a file came
    else if (queued && queued != state.named) look() // what may be started is another
    ;({offered, named: queued} = state)
  })
}

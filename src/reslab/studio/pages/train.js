// The form of a run, and what it will be. What is filled in is in the address.

import {ask, el, ending, say} from "./api.js"
import {link, remember} from "./app.js"
import {filled, keep, listen, put} from "./drawn.js"
import {button} from "./parts.js"

export function show(main, params) {
  const signal = ending()
  let offered, queued, drawn, timer, asking = false, again = false

  const values = () => Object.fromEntries(params)
  const form = el("form.form", {oninput: typed, onchange: ({target}) => target.matches("select") && fill(),
    onsubmit: (event) => event.preventDefault()})
  const facts = el("dl", el("dt", "Network"), el("dd", "PyTorch is being loaded, which takes some seconds …"))
  const trouble = el("p.error", {role: "alert"})
  const start = button("Start", begin, {class: "primary", disabled: true})
  const drawing = el("details", {ontoggle: draw}, el("summary", "Drawing of the network"))
  const command = el("pre", {tabIndex: 0}), copier = button("Copy", copy, {class: "quiet push"})
  const terminal = el("div", {hidden: true}, el("div.row", el("h2", "The same in a terminal"), copier), command)
  const queue = el("section.panel", {"aria-label": "Queue", onchange: ({target}) =>
    ask("queue/at-once", {number: +target.value}).catch((error) => say(error.message))})
  const will = el("section.panel.will", {"aria-label": "What it will be"},
    el("h2", "What it will be"), facts, trouble,
    el("div.row", start, el("a.button.quiet", {href: link("train")}, "Clear the form")),
    drawing, terminal)
  main.append(el("h1", "Train"), el("div.train", form, el("div.aside", will, queue)))

  function typed() {
    params = filled(form)
    remember(params)
    start.disabled = copier.disabled = true // until it is known what that will be
    clearTimeout(timer)
    timer = setTimeout(look, 250)
  }

  // Draws the form anew, since what there is to fill in depends on what is chosen.
  async function fill() {
    const before = String(params)
    const html = await ask("train/form", {values: values()}).catch((error) => say(error.message))
    if (signal.aborted || !html) return
    if (before != params) return fill() // of what was filled in meanwhile
    put(form, html)
    params = filled(form) // what has no field is dropped
    remember(params)
    look()
  }

  // Asks what it will be, one question at a time and at last the latest, so that no answer is older.
  async function look() {
    again = asking
    if (asking) return
    asking = true
    const answer = await ask("train/preview", {values: values()}).catch((error) => ({error: error.message}))
    asking = false
    if (signal.aborted) return
    if (again) look()
    else tell(answer)
  }

  function tell({errors = {}, error, about = {}, command: line = "", names = [], left, facts: rows}) {
    const wrong = error || (Object.keys(errors).length ? "What is marked is to be put right." : "")
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
    trouble.textContent = wrong
    command.textContent = line
    start.disabled = Boolean(wrong) || !left
    start.textContent = names.length > 1 ? `Start ${left} runs` : "Start"
    copier.disabled = drawing.hidden = facts.hidden = terminal.hidden = Boolean(wrong)
    if (wrong) return
    facts.replaceChildren(...rows.flatMap(([name, text, href]) =>
      [el("dt", name), el("dd", href ? el("a", {href}, text) : text)]))
    draw()
  }

  async function begin() {
    start.disabled = true // until it is known what is left to start
    say(await ask("train/start", {values: values()}).then(() => "", (error) => error.message))
    look()
  }

  async function draw() {
    const wanted = String(params)
    if (!drawing.open || drawn == wanted) return
    drawn = wanted
    const {svg, error} = await ask("train/drawing", {values: values()}).catch((one) => ({error: one.message}))
    if (signal.aborted || drawn != wanted) return
    const picture = () => el("img", {src: `data:image/svg+xml,${encodeURIComponent(svg)}`,
      alt: "The network's layers, and what skips them"})
    const enlarge = () => {
      const large = el("dialog", {"aria-label": "Drawing of the network", onclose: () => large.remove()},
        el("div.row", button("Close", () => large.close(), {class: "quiet push"})), picture())
      drawing.append(large)
      large.showModal()
    }
    drawing.replaceChildren(drawing.firstChild, ...error ? [el("p.soft", error)] :
      [el("button.paper", {type: "button", title: "Show it large", onclick: enlarge}, picture())])
  }

  function copy({target}) {
    getSelection().selectAllChildren(command) // for where the clipboard is closed
    navigator.clipboard?.writeText(command.textContent).then(() => { target.textContent = "Copied" }, () => {})
  }

  listen(queue)
  keep(queue, "queue", () => {
    const state = queue.firstElementChild.dataset
    if (offered != (offered = state.offered)) fill() // at first, and when a file came
    else if (queued != state.named) look() // what may be started is another
    queued = state.named
  })
}

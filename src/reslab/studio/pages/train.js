// The form of a run, and what it will be. What is filled in is in the address.

import {ask, el, ending, poll, say} from "./api.js"
import {link, remember} from "./app.js"
import {drawQueue} from "./controls.js"
import {button, select} from "./parts.js"

const LATER = ["trainer", "logger", "ablation"] // groups that are seldom chosen

export function show(main, params) {
  const signal = ending(), inputs = new Map() // of each group and field, with what stands around it
  let offered, queued, drawn, timer, asking = false, again = false

  const values = () => Object.fromEntries(params)
  const form = el("form.form", {onsubmit: (event) => event.preventDefault()})
  const facts = el("dl", el("dt", "Network"), el("dd", "PyTorch is being loaded, which takes some seconds …"))
  const trouble = el("p.error", {role: "alert"})
  const start = button("Start", begin, {class: "primary", disabled: true})
  const drawing = el("details", {ontoggle: draw}, el("summary", "Drawing of the network"))
  const command = el("pre", {tabIndex: 0}), copier = button("Copy", copy, {class: "quiet push"})
  const terminal = el("div", {hidden: true}, el("div.row", el("h2", "The same in a terminal"), copier), command)
  const queue = el("section.panel", {"aria-label": "Queue"})
  const will = el("section.panel.will", {"aria-label": "What it will be"},
    el("h2", "What it will be"), facts, trouble,
    el("div.row", start, el("a.button.quiet", {href: link("train")}, "Clear the form")),
    drawing, terminal)
  main.append(el("h1", "Train"), el("div.train", form, el("div.aside", will, queue)))

  function put(name, value) {
    if (value) params.set(name, value)
    else params.delete(name)
    remember(params)
    inputs.get(name).label.classList.toggle("set", Boolean(value))
    start.disabled = copier.disabled = true // until it is known what that will be
    clearTimeout(timer)
    timer = setTimeout(look, 250)
  }

  function labelled(name, input, about, ...beside) {
    const error = el("small.error", {id: `error-${name}`})
    const hint = el("small.soft", {id: `about-${name}`, title: about}, about)
    const [, prefix, last] = name.match(/^(.*\.)?(.*)$/), range = el("small")
    input.setAttribute("aria-label", name)
    input.setAttribute("aria-describedby", `${error.id} ${hint.id}`)
    const label = el("label", {class: `field ${params.has(name) ? "set" : ""}`},
      el("span", prefix && el("span.prefix", prefix), last, range), input, error, hint, ...beside)
    inputs.set(name, {label, input, error, range, hint})
    return label
  }

  function choice({name, options, otherwise, by_recipe, about}) {
    const chosen = params.get(name) ?? "", others = options.filter((one) => one != otherwise)
    const first = !otherwise ? "none" : by_recipe ? otherwise : `${otherwise} (default)`
    const listed = [...new Set([chosen, ...others])].filter(Boolean)
    return labelled(name, select([["", first], ...listed.map((one) => [one, one])], chosen, (value) => {
      put(name, value)
      fill()
    }, {name}), about)
  }

  function text({key, otherwise, about}) {
    const input = el("input", {name: key, placeholder: otherwise, value: params.get(key) ?? "",
      autocomplete: "off", spellcheck: false, list: `of-${key}`, oninput: () => put(key, input.value.trim())})
    return labelled(key, input, about, el("datalist", {id: `of-${key}`}))
  }

  // Draws the form anew, since what there is to fill in depends on what is chosen.
  async function fill() {
    const answer = await ask("train/form", {values: values()}).catch((error) => say(error.message))
    if (signal.aborted || !answer) return
    const {groups: [recipe, ...groups], fields} = answer
    const focused = document.activeElement?.name
    inputs.clear()
    const by = (list, recipe) => list.filter((one) => one.by_recipe == recipe)
    const set = [...by(groups, true).map(choice), ...by(fields, true).map(text)]
    const left = by(groups, false), later = (one) => LATER.includes(one.name)
    const open = (test) => by(fields, false).filter(test).map(text)
    const of = (one) => one.key.includes(".") ? one.key.split(".")[0] : "run"
    const more = (name, title, children) => children.length ? [el("details.panel",
      {open: form.querySelector(`[data-name=${name}]`)?.open, "data-name": name},
      el("summary", title), el("div.fields", children))] : []
    form.replaceChildren(
      el("div.panel", choice(recipe)),
      el("div.panel.fields", left.filter((one) => !later(one)).map(choice), open((one) => one.first)),
      ...more("recipe", `Set by the recipe (${set.length})`, set),
      ...[...new Set(["run", ...fields.map(of)])].flatMap((name) => more(name, `More about the ${name}`,
        [...name == "run" ? left.filter(later).map(choice) : [],
          ...open((one) => !one.first && of(one) == name)])))
    for (const name of [...params.keys()]) if (!inputs.has(name)) params.delete(name)
    remember(params)
    for (const one of form.querySelectorAll("details:has(.set)")) one.open = true
    inputs.get(focused)?.input.focus({preventScroll: true})
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

  function tell({errors = {}, error, about = {}, command: line = "", names = [], finished, begun, time, ...counts}) {
    const wrong = error || (Object.keys(errors).length ? "What is marked is to be put right." : "")
    for (const [name, one] of inputs) {
      const fault = errors[name] ?? "", known = about[name]
      one.error.textContent = fault.replace(/^\S+?=.*?: |^[\w.]+:? /, "")
      one.input.setAttribute("aria-invalid", Boolean(fault))
      if (fault) one.label.closest("details")?.setAttribute("open", "")
      if (!known) continue
      one.range.textContent = known.range
      one.hint.title = one.hint.textContent ||= known.text
      one.label.querySelector("datalist")?.replaceChildren(...known.choices.map((value) => el("option", {value})))
    }
    const many = names.length > 1, left = names.length - finished - begun
    trouble.textContent = wrong
    command.textContent = line
    start.disabled = Boolean(wrong) || !left
    start.textContent = many ? `Start ${left} runs` : "Start"
    copier.disabled = drawing.hidden = facts.hidden = terminal.hidden = Boolean(wrong)
    if (wrong) return
    const there = (number) => number > 0 && (many ? `${number} of them` : "already")
    const rows = {
      [many ? "Sweep" : "Run"]: many ? `${names.length} runs` : names[0],
      Finished: finished > 0 && el("a", {href: link("runs", {q: many ? "" : names[0]})}, there(finished)),
      "In the queue": there(begun),
      Parameters: counts.parameters.toLocaleString("en"),
      MACs: `${counts.macs.toLocaleString("en")} an image`,
      Time: left > 0 && (time ? `about ${time}${many ? " in all" : ""}` : "not known: no run here tells yet"),
    }
    facts.replaceChildren(...Object.entries(rows).filter(([, value]) => value)
      .flatMap(([name, value]) => [el("dt", name), el("dd", value)]))
    draw()
  }

  async function begin() {
    start.disabled = true // until it is known what is left to start
    say(await ask("train/start", {values: values()}).then(() => "", (error) => error.message))
    look()
  }

  async function draw() {
    const wanted = JSON.stringify(values())
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

  poll("queue", (state) => {
    const names = state.entries.map((one) => `${one.name} ${one.state}`).join()
    if (offered != (offered = state.options)) fill() // at first, and when a file came
    else if (queued != names) look() // what may be started is another
    queued = names
    drawQueue(queue, state)
  }, 1)
}

// The table of runs: filtered, sorted and folded here, kept true by what has changed.

import {el, poll, withParams} from "./api.js"
import {VIEWS, link, remember} from "./app.js"

// A filter is a part of the text, or of a number `>90`, `<=5`, `=3`.
function fits(text, number, filter) {
  const [, sign, limit] = filter.match(/^\s*([<>]=?|=)\s*(-?[\d.]+)\s*$/) ?? []
  if (!sign) return text.toLowerCase().includes(filter.toLowerCase())
  if (number == null) return false
  const holds = {"<": number < limit, ">": number > limit, "=": number == limit}
  return holds[sign[0]] || (sign[1] == "=" && number == limit)
}

// Lines by a column, what is not known last; `-2` is column 2 downwards.
function ordered(lines, sort) {
  const at = Math.abs(sort), sign = Object.is(sort, -at) ? -1 : 1
  const value = (line) => line.number[at] ?? line.text[at].toLowerCase()
  const pairs = lines.map((line) => [value(line), line])
  pairs.sort(([a], [b]) => (a === "") - (b === "") || sign * ((a > b) - (a < b)))
  return pairs.map(([, line]) => line)
}

export function show(main, params) {
  const lines = new Map(), drawn = new Map()
  let cursor = "", columns = [], states = []

  const change = (name, values) => {
    params.delete(name)
    for (const one of values) if (one) params.append(name, one)
    remember(params)
    draw()
  }
  const toggle = (name, values, on) => {
    const others = params.getAll(name).filter((one) => !values.includes(one))
    change(name, on ? [...others, ...values] : others)
  }
  const box = (name, label) => el("input", {
    type: "search", placeholder: label, "aria-label": label, value: params.get(name) ?? "",
    oninput: (event) => change(name, [event.target.value]),
  })

  const search = box("q", "Search")
  const each = el("input", {type: "checkbox", checked: !params.has("each"),
    onchange: () => change("each", [each.checked ? "" : "1"])})
  const chips = el("div", {class: "row"}), filters = el("tr", {hidden: true}), head = el("tr")
  const body = el("tbody"), nothing = el("div", {class: "panel empty", hidden: true})
  const actions = el("div", {class: "actions", role: "toolbar", "aria-label": "Selected runs", hidden: true})
  const table = el("div", {class: "scroll"}, el("table",
    {role: "treegrid", "aria-label": "Runs", "aria-multiselectable": "true", onkeydown: keyed},
    el("thead", {}, head, filters), body))
  main.append(
    el("div", {class: "row"}, el("h1", {}, "Runs"), chips, el("div", {class: "row push"},
      el("label", {class: "check"}, each, "Fold seeds"),
      el("button", {type: "button", onclick: () => { filters.hidden = !filters.hidden }}, "Filter"),
      search)),
    table, nothing, actions)

  function heading(name, at) {
    const sort = () => {
      const upwards = params.get("sort") == `-${at}`
      change("sort", [upwards ? `${at}` : `-${at}`])
    }
    return el("th", {scope: "col", class: at < 2 && "text"}, el("button", {type: "button", onclick: sort}, name))
  }

  function draw() {
    const words = (params.get("q") ?? "").toLowerCase().split(/\s+/), is = params.getAll("is")
    const asked = columns.map((_, at) => [at, params.get(`c${at}`)]).filter(([, filter]) => filter)
    const found = (line) => !line.runs && (!is.length || is.includes(line.state)) &&
      words.every((word) => `${line.name} ${line.text} ${line.why}`.toLowerCase().includes(word)) &&
      asked.every(([at, filter]) => fits(line.text[at], line.number[at], filter))
    const runs = [...lines.values()].filter(found)
    const sort = Number(params.get("sort") ?? -(columns.length - 1)), open = params.getAll("open")
    const top = new Set(runs.map((run) => (each.checked && lines.get(`seeds of ${run.group}`)) || run))
    const order = ordered([...top], sort).flatMap((line) => !open.includes(line.name) ? [line] :
      [line, ...ordered(runs.filter((run) => run.group == line.group), sort).map((run) => ({...run, inside: true}))])
    place(order.map(row))
    ;[...head.children].forEach((th, at) => at == Math.abs(sort) ?
      th.setAttribute("aria-sort", sort > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort"))
    around(runs.length)
  }

  // Puts rows in their order and leaves those that are there alone, with their focus.
  function place(wanted) {
    const kept = new Set(wanted)
    for (const one of [...body.children]) if (!kept.has(one)) one.remove()
    wanted.forEach((one, at) => body.children[at] == one || body.insertBefore(one, body.children[at] ?? null))
    if (!body.querySelector("[tabindex='0']") && wanted.length) wanted[0].tabIndex = 0
  }

  // A line's row: the one before, if the line is as it was.
  function row(line) {
    const runs = line.runs ?? [line.name], chosen = params.getAll("run")
    const selected = runs.every((run) => chosen.includes(run))
    const open = line.runs && params.getAll("open").includes(line.name)
    const state = JSON.stringify([line, selected, open])
    const before = drawn.get(line.name)
    if (before?.state == state) return before.tr
    const [label, ...rest] = line.text[0].split(" ")
    const called = line.inside ? [line.name] : [label, el("span", {class: "soft"}, ` ${rest.join(" ")}`)]
    const tr = before?.tr ?? el("tr", {tabindex: -1})
    const focused = tr.contains(document.activeElement) && document.activeElement != tr
    tr.dataset.name = line.name
    tr.setAttribute("aria-selected", selected)
    tr.setAttribute("aria-level", line.inside ? 2 : 1)
    if (line.runs) tr.setAttribute("aria-expanded", Boolean(open))
    tr.replaceChildren(
      el("td", {class: line.inside && "inside"}, el("div", {class: "run"},
        el("input", {type: "checkbox", tabIndex: -1, checked: selected, "aria-label": `Select ${line.name}`,
          onchange: (event) => toggle("run", runs, event.target.checked)}),
        el(line.runs ? "button" : "span", {class: "name", tabIndex: -1, title: line.name,
          onclick: line.runs ? () => toggle("open", [line.name], !open) : null}, called)),
        line.why && el("div", {class: line.state == "failed" ? "why error" : "why soft"}, line.why)),
      el("td", {class: "text"}, el("span", {class: `state ${line.state}`}, line.text[1]),
        line.done != null && el("progress", {value: line.done, "aria-label": "Done"})),
      ...line.text.slice(2).map((text) => el("td", {}, text)))
    if (focused) tr.focus()
    drawn.set(line.name, {state, tr})
    return tr
  }

  // What stands around the table: states to choose from, what to do with the selected, what to do
  // if there is nothing.
  function around(found) {
    const runs = [...lines.values()].filter((line) => !line.runs)
    const is = params.getAll("is"), chosen = params.getAll("run").filter((run) => lines.has(run))
    chips.replaceChildren(...states.map((state) => [state, runs.filter((run) => run.state == state).length])
      .filter(([state, number]) => number || is.includes(state)).map(([state, number]) =>
        el("button", {type: "button", class: "chip", "aria-pressed": String(is.includes(state)),
          onclick: () => toggle("is", [state], !is.includes(state))},
        el("span", {class: `state ${state}`}, `${number.toLocaleString("en")} ${state}`))))
    actions.hidden = !chosen.length
    actions.replaceChildren(el("span", {}, `${chosen.length} selected`),
      ...["watch", "compare", "use"].filter((view) => view in VIEWS).map((view) =>
        el("a", {class: "button", href: link(view, {run: chosen})}, VIEWS[view])),
      el("button", {type: "button", class: "quiet", onclick: () => change("run", [])}, "Clear"))
    table.hidden = !found
    nothing.hidden = Boolean(found)
    if (found) return
    nothing.replaceChildren(...runs.length ? [el("h2", {}, "No run fits"),
      el("button", {type: "button", onclick: () => { location.hash = "runs" }}, "Show all")] :
      [el("h2", {}, "No runs yet"), el("p", {}, "What is trained shows up here by itself. To begin:"),
        el("p", {}, el("code", {}, "reslab train dataset=digits model=baseline_cnn trainer.max_epochs=3"))])
  }

  function keyed(event) {
    const tr = event.target.closest("tbody tr")
    if (!tr || event.target.matches("input:not([type=checkbox])")) return
    const press = (selector) => tr.querySelector(selector)?.click()
    const to = {ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling,
      Home: body.firstElementChild, End: body.lastElementChild}[event.key]
    if (to) {
      tr.tabIndex = -1
      to.tabIndex = 0
      to.focus()
    } else if (event.key == " ") press("input")
    else if (event.key == "ArrowRight" && tr.ariaExpanded == "false") press("button.name")
    else if (event.key == "ArrowLeft" && tr.ariaExpanded == "true") press("button.name")
    else if (event.key == "Enter" && "watch" in VIEWS) location.hash = link("watch", {run: tr.dataset.name})
    else return
    event.preventDefault()
  }

  poll(() => withParams("runs", {since: cursor}), (answer) => {
    if (answer.all) lines.clear()
    for (const name of answer.gone) lines.delete(name)
    for (const line of answer.lines) lines.set(line.name, line)
    if (!columns.length) {
      ({columns, states} = answer)
      head.append(...columns.map(heading))
      filters.append(...columns.map((name, at) => el("td", {}, box(`c${at}`, `Filter ${name}`))))
      filters.hidden = !columns.some((_, at) => params.get(`c${at}`))
    }
    cursor = answer.cursor
    if (answer.all || answer.lines.length || answer.gone.length) draw()
    return answer.more ? 0 : undefined
  })
}

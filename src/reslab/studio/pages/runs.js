// The table of runs: filtered, sorted and folded here, kept true by what has changed.

import {ask, el, ending, poll, withParams} from "./api.js"
import {choose, link} from "./app.js"
import {listen, put, update} from "./drawn.js"

const ROWS = 150 // that are drawn at first, and again and again whenever one comes near their end

// What can be done with runs of which states.
const ACTIONS = {
  Stop: ["running"], Resume: ["interrupted", "failed"],
  Rerun: ["finished", "untested", "interrupted", "failed"],
}

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
  const at = Math.abs(sort), sign = sort[0] == "-" ? -1 : 1
  const value = (line) => line.number[at] ?? line.text[at].toLowerCase()
  const pairs = lines.map((line) => [value(line), line])
  pairs.sort(([a], [b]) => (a === "") - (b === "") || sign * ((a > b) - (a < b)))
  return pairs.map(([, line]) => line)
}

export async function show(main, params) {
  put(main, await ask(`runs/view?${params}`))
  const find = (selector) => main.querySelector(selector)
  const [head, filters] = find("thead").children, body = find("tbody")
  const table = find(".tall"), actions = find(".actions")
  const lines = new Map(), drawn = new Map()
  let cursor = "", columns = [], states = [], hidden = new Set(), old = new Set(), most = ROWS, more = false

  const change = (name, values) => {
    choose(params, name, ...values)
    draw()
  }
  const toggle = (name, values, on) => {
    const others = params.getAll(name).filter((one) => !values.includes(one))
    change(name, on ? [...others, ...values] : others)
  }
  main.addEventListener("input", ({target: {name, value, checked}}) => {
    if (name == "fold") change("each", [checked ? "" : "1"])
    else if (name) change(name, [value])
  })
  body.onchange = ({target}) => {
    const name = target.closest("tr").dataset.name, {runs = [name]} = lines.get(name)
    toggle("run", runs, target.checked)
  }
  body.onclick = ({target}) => {
    const tr = target.closest("button.name")?.closest("tr")
    if (tr) toggle("open", [tr.dataset.name], tr.ariaExpanded != "true")
  }
  find(".chips").onclick = ({target}) => {
    const chip = target.closest("button")
    if (chip) toggle("is", [chip.dataset.state], chip.ariaPressed != "true")
  }
  actions.onclick = ({target}) => { if (target.id == "clear") change("run", []) }
  listen(actions)
  find("[name=filter]").onclick = () => { filters.hidden = !filters.hidden }
  head.onclick = ({target}) => sortBy([...head.children].indexOf(target.closest("th")))

  function sortBy(at) {
    const first = [...lines.values()].some((line) => line.number[at] != null) ? `-${at}` : `${at}`
    const other = first[0] == "-" ? `${at}` : `-${at}`
    change("sort", [params.get("sort") == first ? other : first])
  }

  function draw() {
    const all = [...lines.values()].filter((line) => !line.runs), is = params.getAll("is")
    const words = (params.get("q") ?? "").toLowerCase().split(/\s+/)
    const asked = columns.map((_, at) => [at, params.get(`c${at}`)]).filter(([, filter]) => filter)
    const runs = all.filter((line) => (!is.length || is.includes(line.state)) &&
      words.every((word) => `${line.name} ${line.text} ${line.why}`.toLowerCase().includes(word)) &&
      asked.every(([at, filter]) => fits(line.text[at], line.number[at], filter)))
    const sort = params.get("sort") ?? `-${columns.indexOf("Begun")}`, open = params.getAll("open")
    const top = runs.map((run) => !params.has("each") && lines.get(`seeds of ${run.group}`) || run)
    const inside = (line) => ordered(runs.filter((run) => run.group == line.group), sort)
      .map((run) => ({...run, inside: true}))
    const order = ordered([...new Set(top)], sort)
      .flatMap((line) => open.includes(line.name) ? [line, ...inside(line)] : [line])
    hidden = new Set(columns.keys().filter((at) => !all.some((line) => line.text[at])))
    for (const cells of [head.children, filters.children])
      [...cells].forEach((cell, at) => { cell.hidden = hidden.has(at) })
    for (const [at, th] of [...head.children].entries())
      th.setAttribute("aria-sort", at != Math.abs(sort) ? "none" : sort[0] == "-" ? "descending" : "ascending")
    find("[name=filter]").textContent = asked.length ? `Filter (${asked.length})` : "Filter"
    more = order.length > most
    place(order.slice(0, most).map(row))
    around(all, is, runs.length)
  }

  // Puts rows in their order, which leaves the focus where it is.
  function place(rows) {
    const focused = document.activeElement
    if (rows.length != body.children.length || rows.some((one, at) => one != body.children[at]))
      body.replaceChildren(...rows)
    if (focused.isConnected && focused != document.activeElement) focused.focus({preventScroll: true})
    if (rows.length && !body.querySelector("[tabindex='0']")) rows[0].tabIndex = 0
  }

  // A line's row: the one before, if the line is as it was.
  function row(line) {
    const runs = line.runs ?? [line.name], chosen = params.getAll("run")
    const selected = runs.every((run) => chosen.includes(run))
    const partly = !selected && runs.some((run) => chosen.includes(run))
    const open = line.runs && params.getAll("open").includes(line.name)
    const state = JSON.stringify([line, selected, partly, open, [...hidden]])
    const before = drawn.get(line.name)
    if (before?.state == state) return before.tr
    const leads = line.runs ? {type: "button"} : {href: link("watch", {run: line.name})}
    const [label, ...keys] = line.inside ? [line.name] : line.text[0].split(" ")
    const tr = before?.tr ?? el("tr", {role: "row", tabindex: -1})
    tr.dataset.name = line.name
    tr.setAttribute("aria-selected", selected)
    tr.setAttribute("aria-level", line.inside ? 2 : 1)
    if (line.runs) tr.setAttribute("aria-expanded", open)
    update(tr,
      el("td", {class: line.inside && "inside"},
        el("input", {type: "checkbox", tabIndex: -1, checked: selected, indeterminate: partly,
          "aria-label": `Select ${line.name}`}),
        el(line.runs ? "button.name" : "a.name",
          {tabIndex: -1, title: `${line.name}\n${keys.join("\n")}`, ...leads}, label),
        keys.length > 0 && el("div.keys", keys.map((key) => key.replace(/^.*\.(?=\w+=)/, "")).join("  ")),
        line.note && el("div.keys", line.note),
        line.why && el("div.keys.error", line.why)),
      el("td.text", el("span", {class: `state ${line.state}`}, line.text[1]),
        line.done != null && el("progress", {value: line.done, "aria-label": "Done"})),
      ...line.text.map((text, at) => el("td",
        {hidden: hidden.has(at), class: head.children[at].className, "data-name": columns[at]}, text)).slice(2))
    drawn.set(line.name, {state, tr})
    return tr
  }

  // What stands around: states to choose from, what to do with the selected or if there is nothing.
  function around(all, is, found) {
    const chosen = params.getAll("run").filter((run) => lines.has(run))
    const count = (state) => all.filter((run) => run.state == state).length
    const chip = (state) => el("button.chip",
      {type: "button", "data-state": state, "aria-pressed": String(is.includes(state))},
      el("span", {class: `state ${state}`}, `${count(state).toLocaleString("en")} ${state}`))
    update(find(".chips"), ...states.filter((state) => count(state) || is.includes(state)).map(chip))
    actions.hidden = !chosen.length
    const control = ([name, states]) => {
      const fit = chosen.filter((run) => states.includes(lines.get(run).state))
      return fit.length ? [el("button", {type: "button", id: `runs-${name}`, value: JSON.stringify({runs: fit}),
        "data-sends": `runs/${name.toLowerCase()}`}, fit.length < chosen.length ? `${name} ${fit.length}` : name)] : []
    }
    update(actions, el("span", `${chosen.length} selected`),
      ...["Watch", "Compare", "Use"].map((name) =>
        el("a.button", {href: link(name.toLowerCase(), {run: chosen})}, name)),
      ...Object.entries(ACTIONS).flatMap(control), el("button.quiet", {type: "button", id: "clear"}, "Clear"))
    table.hidden = !found
    find(".none-fits").hidden = found || !all.length
    find(".none-yet").hidden = all.length > 0
  }

  // Keys, wherever the focus is but in a field: to move leads first to the row where one was last.
  function keyed(event) {
    const {key, target} = event
    if (event.ctrlKey || event.altKey || event.metaKey) return
    if (target.matches("input:not([type=checkbox]), textarea, select")) return
    const tr = target.closest("tbody tr"), last = body.querySelector("[tabindex='0']")
    const turns = {ArrowRight: "false", ArrowLeft: "true"}[key]
    const down = tr ? tr.nextElementSibling : last, up = tr ? tr.previousElementSibling : last
    const to = {ArrowDown: down, j: down, ArrowUp: up, k: up,
      Home: tr && body.firstElementChild, End: tr && body.lastElementChild}[key]
    if (to) {
      last.tabIndex = -1
      to.tabIndex = 0
      to.focus()
    } else if (key == "/") find("[name=q]").focus()
    else if (!tr) return
    else if (key == " ") tr.querySelector("input").click()
    else if (key == "Enter" || turns && tr.ariaExpanded == turns) tr.querySelector(".name").click()
    else return
    event.preventDefault()
  }

  addEventListener("keydown", keyed, {signal: ending()})

  new IntersectionObserver(([one]) => {
    if (!one.isIntersecting || !more) return
    most += ROWS
    draw()
  }, {rootMargin: "800px", scrollMargin: "800px"}).observe(find(".end"))

  poll(() => withParams("runs", {since: cursor}), (answer) => {
    ({columns, states} = answer)
    if (answer.all) old = new Set(lines.keys()) // of a server before this one, until all are told
    for (const line of answer.lines) lines.set(line.name, line) && old.delete(line.name)
    for (const name of [...answer.gone, ...(answer.more ? [] : old)]) lines.delete(name)
    cursor = answer.cursor
    if (answer.all || answer.lines.length || answer.gone.length) draw()
    return answer.more ? 0 : undefined
  }, 0.5)
}

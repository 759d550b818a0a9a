// The selected runs' curves over one another, gradients layer by layer, the end of a log.

import {ask, el, poll, say, withParams} from "./api.js"
import {choose, isDark} from "./app.js"
import {figure, savePicture} from "./bokeh.js"
import {button, check, empty, primary, select} from "./parts.js"

const FIGURES = {batches: "Loss within the epoch", loss: "Loss", accuracy: "Accuracy", lr: "Learning rate",
  throughput: "Throughput", gradients: "Gradients"}

export function show(main, params) {
  const runs = [...new Set(params.getAll("run"))], series = new Map(), panels = {}
  let order = [], missing = [], begun = false, cursor = "", seen = "", lit = "", building = Promise.resolve(), asked = 0
  if (!runs.length) return offer(main)

  const get = (name) => params.get(name) ?? ""
  const change = (name, value, then = look) => {
    choose(params, name, value)
    then()
  }
  const choice = (label, name, options, then) =>
    select(options, get(name), (value) => change(name, value, then), {"aria-label": label})
  const otherAxes = () => {
    for (const name in FIGURES) choose(params, `zoom-${name}`)
    build()
    look()
  }
  const smoothing = el("input", {type: "range", min: 0, max: 0.98, step: 0.02, value: String(+get("smooth")),
    oninput: () => change("smooth", +smoothing.value && smoothing.value)})
  const fold = check("Fold seeds", !get("each"), (on) => change("each", on ? "" : "1"))
  const legend = el("div.row.legend", {role: "group", "aria-label": "Lines"})
  const notes = el("div")
  const log = el("pre.log", {tabIndex: 0, role: "region", "aria-label": "End of the log"})

  for (const [name, title] of Object.entries(FIGURES)) {
    const of = panels[name] = {place: el("div"), dashes: el("p.row.hint.dashes")}
    const save = (kind, how) => button(kind, how, {class: "quiet", "aria-label": `Save ${title} as ${kind}`})
    const picture = () => savePicture(name, of.picture(),
      [...name == "gradients" ? [] : visible().slice(0, 40), ...dashes(name)])
    const numbers = () => {
      location = `/api/${wanted("watch/numbers", {of: name, hide: params.getAll("hide"), of_run: one()})}`
    }
    of.panel = el("section.panel", {hidden: true}, el("div.row", el("h2", title),
      el("div.row.push", save("PNG", picture), save("CSV", numbers))), of.dashes, of.place)
  }
  const {gradients, ...curves} = panels, tiles = el("div.tiles", Object.values(curves).map(({panel}) => panel))
  const gone = el("div", {hidden: true}, el("h1", "Watch"),
    empty("None of these runs is there any more", "", primary("Select runs", "runs")))
  const whole = el("div", {hidden: true}, el("div.row", el("h1", "Watch"), el("div.row.push.controls",
    choice("Parts", "part", [["", "Training and validation"], ["train", "Training"], ["val", "Validation"]], look),
    choice("Horizontal axis", "x", [["", "Over epochs"], ["minutes", "Over time"]], otherAxes),
    choice("Vertical axis", "log", [["", "Linear scale"], ["1", "Logarithmic scale"]], otherAxes),
    fold, el("label.check", "Smoothing", smoothing))),
  legend, notes, tiles, el("div.row.details", el("label.check", "Gradients and log of",
    choice("Run of gradients and log", "of", runs.map((name) => [name, name]), lookAtOne))),
  el("div.tiles", gradients.panel, el("section.panel", el("div.row", el("h2", "Log")), log)))
  main.append(whole, gone)

  // Declares the figures anew, each with the zoom that the address has.
  function build() {
    building = building.then(() => Promise.all(Object.entries(panels).map(async ([name, of]) => {
      Object.assign(of, await figure(of.place, "watch/figure", {of: name, x: get("x"), log: get("log")}))
      const ranges = [of.plot.x_range, of.plot.y_range], edges = get(`zoom-${name}`).split(" ").map(Number)
      if (edges.length == 4) ranges.forEach((range, at) => {
        range.have_updated_interactively = true
        range.setv({start: edges[2 * at], end: edges[2 * at + 1]})
      })
      of.plot.on_event("rangesupdate", () => choose(params, `zoom-${name}`, ranges[0].have_updated_interactively &&
        ranges.flatMap(({start, end}) => [start, end]).map((edge) => edge.toPrecision(6)).join(" ")))
    }))).then(draw).then(lookAtOne).catch((error) => say(error.message))
  }

  // What dashed and solid lines are, where a figure has both.
  const dashes = (name) => {
    const dashed = {gradients: "on a skip", loss: "training", accuracy: "training"}[name]
    const both = panels[name].both ?? !get("part")
    return dashed && both ? [{name: dashed, dashed: true},
      {name: name == "gradients" ? "on the main path" : "validation"}] : []
  }
  const explain = (name) => panels[name].dashes.replaceChildren(...dashes(name).map(({name, dashed}) =>
    el("span", el(dashed ? "span.swatch.dashed" : "span.swatch.solid"), name)))

  const visible = () => order.map((key) => series.get(key)).filter((one) => !params.getAll("hide").includes(one.key))

  function draw() {
    for (const [name, of] of Object.entries(curves)) {
      const data = {}
      const seen = (key, alphas) => lit && lit != key ? alphas.map((alpha) => alpha / 8) : alphas
      for (const one of visible()) for (const [source, columns] of Object.entries(one.figures[name]))
        for (const [column, values] of Object.entries(columns))
          ((data[source] ??= {})[column] ??= []).push(...column == "alpha" ? seen(one.key, values) : values)
      of.panel.hidden = !data.lines?.xs.length
      explain(name)
      if (!of.panel.hidden) for (const source in data) of.feed?.(source, data[source])
    }
  }

  // Which line is whose: what is pressed is shown, what is pointed at stands out.
  function tell() {
    const light = (key) => () => {
      lit = key
      draw()
    }
    legend.replaceChildren(...order.map((key) => series.get(key)).map(({key, name, color}) => {
      const swatch = el("span.swatch")
      swatch.style.background = color
      const chip = button([swatch, name], () => {
        const others = params.getAll("hide").filter((one) => one != key)
        choose(params, "hide", ...others, chip.ariaPressed == "true" && key)
        chip.ariaPressed = String(!params.has("hide", key))
        draw()
      }, {class: "chip", title: name, "aria-pressed": String(!params.getAll("hide").includes(key)),
        onpointerenter: light(key), onpointerleave: light(""), onfocus: light(key), onblur: light("")})
      return chip
    }))
  }

  const one = () => get("of") || runs.find((run) => !missing.includes(run))
  const wanted = (path, more) => withParams(path, {run: runs, theme: isDark() ? "dark" : "light",
    ...Object.fromEntries(["x", "part", "smooth", "each"].map((name) => [name, get(name)])), ...more})

  function take(answer) {
    for (const one of answer.series) series.set(one.key, one)
    const named = JSON.stringify(answer.order.map((key) => [key, series.get(key).name]))
    ;({order, missing, cursor} = answer)
    gone.hidden = order.length > 0
    whole.hidden = !gone.hidden
    if (order.length && !begun) poll(details, takeOne, 2)
    begun ||= order.length > 0
    if (named != legend.content) tell(legend.content = named)
    notes.replaceChildren(...answer.notes.map(([kind, text]) => el("p", {class: kind}, text)))
    if (answer.series.length) draw()
    return answer.live ? 1 : 2
  }
  const newest = () => wanted("watch/curves", {since: cursor})
  function look() {
    const mine = ++asked
    ask(newest()).then((answer) => mine == asked && take(answer), (error) => say(error.message))
  }
  function takeOne(answer) {
    if (answer.run != one()) return
    seen = answer.cursor
    if (answer.log) log.textContent = answer.log
    if (answer.log) log.scrollTop = log.scrollHeight
    if (!("gradients" in answer)) return
    gradients.panel.hidden = !answer.gradients
    gradients.both = answer.gradients?.dash.includes("dashed")
    explain("gradients")
    if (answer.gradients) gradients.feed?.("lines", answer.gradients)
  }
  const details = () => withParams("watch/details", {run: one(), since: seen})
  function lookAtOne() {
    if (!begun) return
    seen = ""
    ask(details()).then(takeOne, (error) => say(error.message))
  }

  build()
  poll(newest, take)
}

// Nothing is selected: what to do.
async function offer(main) {
  const {lines} = await ask("runs")
  const running = lines.filter((line) => line.state == "running" && !line.runs).map((line) => line.name)
  main.append(el("h1", "Watch"), empty("No run is selected",
    lines.length ? "Select runs to see their curves over one another." : "There are none yet.",
    running.length ? primary(`Watch the ${running.length} that train now`, "watch", {run: running}) :
      lines.length ? primary("Select runs", "runs") : primary("Train", "train")))
}

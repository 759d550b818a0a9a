// The selected runs' curves over one another, gradients layer by layer, the end of a log.

import {ask, el, poll, say, withParams} from "./api.js"
import {choose, isDark} from "./app.js"
import {figure, savePicture} from "./bokeh.js"
import {listen, put} from "./drawn.js"

export async function show(main, params) {
  put(main, await ask(`watch?${params}`))
  const [gone, whole] = main.children
  if (!whole) return

  const runs = [...new Set(params.getAll("run"))], series = new Map()
  const [legend, notes, log] = [".legend", ".news", ".log"].map((one) => whole.querySelector(one))
  const panels = Object.fromEntries([...whole.querySelectorAll("[data-figure]")].map((panel) =>
    [panel.dataset.figure, {panel, dashes: panel.querySelector(".dashes"), place: panel.querySelector(".place")}]))
  const {gradients, ...curves} = panels
  let order = [], missing = [], seen = "", cursor = "", lit = "", building = Promise.resolve(), lookAtOne

  const get = (name) => params.get(name) ?? ""
  const isHidden = (key) => params.has("hide", key)
  const another = () => {
    seen = ""
    lookAtOne?.()
  }
  const visible = () => order.map((key) => series.get(key)).filter((one) => !isHidden(one.key))

  whole.addEventListener("input", ({target: {name, value, checked}}) => {
    if (name == "fold") choose(params, "each", checked ? "" : "1")
    else choose(params, name, value == "0" ? "" : value)
    if (name == "of") return another()
    if (name == "x" || name == "log") {
      for (const name in panels) choose(params, `zoom-${name}`)
      build()
    }
    look()
  })
  whole.addEventListener("click", ({target}) => {
    const name = target.closest("[data-figure]")?.dataset.figure, {dashes, picture} = panels[name] ?? {}
    const meant = dashes?.hidden ? [] : [...dashes?.children ?? []].map((one) =>
      ({name: one.textContent, dashed: Boolean(one.querySelector(".dashed"))}))
    if (target.value == "picture" && picture)
      savePicture(name, picture(), [...name == "gradients" ? [] : visible().slice(0, 40), ...meant])
    if (target.value == "numbers")
      location = `/api/${wanted("watch/numbers", {of: name, hide: params.getAll("hide"), of_run: one()})}`
  })

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
    }))).then(draw).then(another).catch((error) => say(error.message))
  }

  function draw() {
    for (const [name, of] of Object.entries(curves)) {
      const data = {}
      const seen = (key, alphas) => lit && lit != key ? alphas.map((alpha) => alpha / 8) : alphas
      for (const one of visible()) for (const [source, columns] of Object.entries(one.figures[name]))
        for (const [column, values] of Object.entries(columns))
          ((data[source] ??= {})[column] ??= []).push(...column == "alpha" ? seen(one.key, values) : values)
      of.panel.hidden = !data.lines?.xs.length
      of.dashes.hidden = !of.dashes.children.length || get("part") != ""
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
      const press = ({currentTarget: chip}) => {
        choose(params, "hide", ...params.getAll("hide").filter((one) => one != key), !isHidden(key) && key)
        chip.ariaPressed = String(!isHidden(key))
        draw()
      }
      return el("button.chip", {type: "button", title: name, "aria-pressed": String(!isHidden(key)), onclick: press,
        onpointerenter: light(key), onpointerleave: light(""), onfocus: light(key), onblur: light("")}, swatch, name)
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
    if (order.length) lookAtOne ??= poll(() => withParams("watch/details", {run: one(), since: seen}), takeOne, 2)
    if (named != legend.content) tell(legend.content = named)
    notes.replaceChildren(...answer.notes.map(([kind, text]) => el("p", {class: kind}, text)))
    if (answer.series.length) draw()
    return answer.live ? 1 : 2
  }

  function takeOne({cursor, log: text, gradients: lines}) {
    seen = cursor
    if (text) log.textContent = text
    if (text) log.scrollTop = log.scrollHeight
    if (lines === undefined) return
    gradients.panel.hidden = !lines
    gradients.dashes.hidden = !lines?.dash.includes("dashed")
    if (lines) gradients.feed?.("lines", lines)
  }

  listen(whole)
  build()
  const look = poll(() => wanted("watch/curves", {since: cursor}), take)
}

// Figures that are declared in Python (`studio/figures.py`); the page shows and feeds them.

import {isDark} from "./app.js"
import {ask, el, ending, withParams} from "./api.js"

const shown = new WeakMap() // an element with a figure: what takes that away
let library

export function load() {
  library ??= ["bokeh", "bokeh-widgets"].reduce((before, name) => before.then(() => new Promise((done, failed) => {
    document.head.append(el("script", {src: `${name}.min.js`, onload: done, onerror: () => {
      library = null // to be tried again
      failed(new Error("Bokeh, which draws the figures, does not load."))
    }}))
  })), Promise.resolve())
  return library
}

// Shows in an element the figure with which a path answers, instead of the one before, until the
// view is left. Returns `model(name)`; `feed(name, data)` for a source, which leaves the user's
// zoom as it is; the `plot`, and `picture()`, a canvas of it.
export async function figure(place, path, params = {}) {
  const signal = ending()
  const theme = isDark() ? "dark" : "light"
  const [item] = await Promise.all([ask(withParams(path, {...params, theme})), load()])
  shown.get(place)?.()
  const views = await Bokeh.embed.embed_item(item, place)
  const [root] = views.roots, plot = root.model, doc = plot.document
  if (matchMedia("(pointer: coarse)").matches) // a finger that drags scrolls the page
    for (const tool of plot.toolbar?.tools ?? []) if (tool.event_types?.includes("pan")) tool.active = false
  const clear = () => {
    views.clear()
    Bokeh.documents.splice(Bokeh.documents.indexOf(doc), 1)
    shown.delete(place)
  }
  shown.set(place, clear)
  signal.addEventListener("abort", () => { if (shown.get(place) == clear) clear() })
  const model = (name) => doc.get_model_by_name(name)
  const feed = (name, data) => { if (shown.get(place) == clear) model(name).data = data }
  return {model, feed, plot, picture: () => root.export().canvas}
}

// Saves a figure's picture, with what its lines mean below it: names, and colors or `dashed`.
export async function savePicture(name, picture, series) {
  const unit = devicePixelRatio, style = getComputedStyle(document.querySelector(".panel"))
  const canvas = new OffscreenCanvas(picture.width, picture.height + 20 * unit * (series.length + 1))
  const context = canvas.getContext("2d")
  const write = (color, what, ...where) => { context.fillStyle = color; context[what](...where) }
  write(style.backgroundColor, "fillRect", 0, 0, canvas.width, canvas.height)
  context.drawImage(picture, 0, 0)
  context.scale(unit, unit)
  context.font = `13px ${style.fontFamily}`
  for (const [at, one] of series.entries()) {
    const y = picture.height / unit + 20 * (at + 1)
    for (const [x, width] of one.dashed ? [[10, 4], [17, 4], [24, 4]] : [[10, 18]])
      write(one.color ?? style.color, "fillRect", x, y - 6, width, 3)
    write(style.color, "fillText", one.name, 36, y)
  }
  const link = el("a", {download: `${name}.png`, href: URL.createObjectURL(await canvas.convertToBlob())})
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

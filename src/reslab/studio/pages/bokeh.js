// Figures that are declared in Python (`studio/figures.py`); the page shows and feeds them.

import {isDark} from "./app.js"
import {ask, ending, withParams} from "./api.js"

let library

function load() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script")
    script.src = "bokeh.min.js"
    script.onload = done
    script.onerror = () => failed(new Error("Bokeh, which draws the figures, does not load."))
    document.head.append(script)
  })
  return library
}

// Shows in an element the figure with which a path answers, until the view is left. Returns
// `model(name)`, and `feed(name, data)` for a source, which leaves the user's zoom as it is.
export async function figure(place, path, params = {}) {
  const signal = ending()
  const theme = isDark() ? "dark" : "light"
  const [item] = await Promise.all([ask(withParams(path, {...params, theme})), load()])
  const views = await Bokeh.embed.embed_item(item, place)
  const doc = Bokeh.documents.at(-1)
  signal.addEventListener("abort", () => {
    views.clear()
    Bokeh.documents.splice(Bokeh.documents.indexOf(doc), 1)
  })
  const model = (name) => doc.get_model_by_name(name)
  return {model, feed: (name, data) => { if (!signal.aborted) model(name).data = data }}
}

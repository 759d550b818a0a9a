// Runs beside one another: what differs, what came of it, how surely, and on which images.

import {ask, el, poll, say, withParams} from "./api.js"
import {VIEWS, link, remember} from "./app.js"

export function show(main, params) {
  const runs = [...new Set(params.getAll("run"))], body = el("div", {class: "compare"}), pictures = el("div")
  const asked = () => withParams("compare", {run: runs, base: params.get("base")})
  let before = "", pair = ""
  main.append(el("div", {class: "row"}, el("h1", {}, "Compare")), body, pictures)

  const empty = (title, text) => [el("div", {class: "panel empty"}, el("h2", {}, title), el("p", {}, text),
    el("p", {}, el("a", {class: "button primary", href: link("runs", {run: runs})}, "Select runs")))]
  // A table of several bodies, each below its own heading if it has one.
  const table = (label, head, bodies) => el("div", {class: "scroll", tabIndex: 0, role: "region", "aria-label": label}, el("table", {},
    el("thead", {}, el("tr", {}, head.map((one) => el("th", {scope: "col"}, one)))),
    Object.entries(bodies).filter(([, rows]) => rows.length).map(([title, rows]) => el("tbody", {},
      title && el("tr", {class: "title"}, el("th", {scope: "rowgroup", colSpan: head.length}, title)),
      rows.map(([name, ...cells]) => el("tr", {}, el("th", {scope: "row"}, name), cells.map((cell) => el("td", {}, cell))))))))
  const section = (title, ...content) => el("section", {class: "part"}, el("h2", {}, title), ...content)
  function choose(name, value) {
    params.set(name, value)
    remember(params)
    ask(asked()).then(draw, (error) => say(error.message))
  }

  function draw(answer) {
    const {sides, notes, config, environment, results, base, columns, pairs} = answer
    const live = sides.length && results[0].some((text) => text.includes("running"))
    const text = JSON.stringify([answer, params.get("with")])
    if (text == before) return live ? 5 : 30
    before = text
    const gone = notes.map((text) => el("p", {class: "error"}, text))
    if (sides.length < 2) {
      body.replaceChildren(...gone, ...empty(sides.length ? "One alone is not compared" : "Nothing is selected",
        "Select two runs or more. Those that differ in the seed alone count as one, unless there is nothing else."))
      return 30
    }
    const head = ["Results", ...sides.map((side) => "watch" in VIEWS ? el("a", {href: link("watch", {run: side.runs})}, side.title) : side.title)]
    const against = el("select", {"aria-label": "Compared with", onchange: () => choose("base", against.value)},
      sides.map(({name, title}) => el("option", {value: name, selected: name == base}, title)))
    const able = pairs.filter(({why}) => !why), shown = able.find(({name}) => name == params.get("with")) ?? able[0]
    const named = ({name, title, why}) => why || able.length < 2 ? title :
      el("button", {type: "button", "aria-pressed": String(name == shown.name), onclick: () => choose("with", name)}, title)
    body.replaceChildren(...gone,
      table("What differs", head, {"": results, "Configuration that differs": config, "Machine and code that differ": environment}),
      section("Image by image", el("p", {class: "row"}, el("label", {class: "check"}, "Compared with", against)),
        ...able.length ? [table("Image by image", columns, {"": able.map((one) => [named(one), ...one.text])})] : [],
        ...pairs.filter(({why}) => why).map(({title, why}) => el("p", {class: "soft"}, `${title}: ${why}.`)),
        ...able.length ? [el("p", {class: "hint"}, answer.note)] : []))
    if (shown && pair != shown.name + base) look(pair = shown.name + base, shown.name, base)
    if (!shown) pictures.replaceChildren()
    return live ? 5 : 30
  }

  async function look(mine, name, base) {
    pictures.replaceChildren(el("p", {class: "hint"}, "Reading the test images: the first time takes some seconds."))
    const {parts, seeds, why} = await ask(withParams("compare/flipped", {run: runs, with: name, base})).catch((error) => ({parts: [], why: error.message}))
    if (mine != pair) return
    pictures.replaceChildren(...why ? [el("p", {class: "error"}, why)] : [], ...parts.map(({title, total, images}) =>
      section(`${title}: ${total.toLocaleString("en")} images`, el("div", {class: "pictures"}, images.map((one) => el("figure", {},
        one.picture && el("img", {src: one.picture, alt: `Test image ${one.at}`, title: `Test image ${one.at}`}),
        el("figcaption", {}, one.truth, el("span", {class: "soft"}, `not ${one.wrong}`),
          seeds > 1 && el("span", {class: "soft"}, `${one.seeds} of ${seeds} seeds`))))),
      total > images.length && el("p", {class: "hint"}, `and ${total - images.length} more`))))
  }

  if (runs.length) poll(asked, draw)
  else body.append(...empty("Nothing is selected", "Select two runs or more, then Compare."))
}

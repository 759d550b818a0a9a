// Runs beside one another: what differs, what came of it, how surely, and on which images.

import {ask, el, poll, say, withParams} from "./api.js"
import {choose, link} from "./app.js"
import {button, empty, primary, select, table} from "./parts.js"

// A part of a configuration in few words: `{"_target_": "reslab.nn.Pool", "size": 2}` is `Pool(size=2)`.
function short(text) {
  const written = (value) => {
    if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`
    if (value?.constructor != Object) return `${value}`
    const {_target_: target = "", ...rest} = value
    return `${target.split(".").at(-1)}(${Object.entries(rest).map(([key, one]) => `${key}=${written(one)}`).join(", ")})`
  }
  try {
    return text.startsWith("{") || text.startsWith("[") ? written(JSON.parse(text)) : text
  } catch {
    return text // several values
  }
}

export function show(main, params) {
  const runs = [...new Set(params.getAll("run"))], body = el("div.compare"), pictures = el("div")
  const asked = () => withParams("compare", {run: runs, base: params.get("base")})
  let before = "", pair = ""
  main.append(el("div.row", el("h1", "Compare")), body, pictures)

  const nothing = (title, text) => empty(title, text, primary("Select runs", "runs", {run: runs}))
  const section = (title, ...content) => el("section.part", el("h2", title), ...content)
  function change(name, value) {
    choose(params, name, value)
    ask(asked()).then(draw, (error) => say(error.message))
  }

  function draw(answer) {
    const {sides, notes, config, environment, results, base, columns, pairs} = answer
    const live = sides.length && results[0].some((text) => text.includes("running"))
    const text = JSON.stringify([answer, params.get("with")])
    if (text == before) return live ? 5 : 30
    before = text
    const gone = notes.map((text) => el("p.error", text))
    if (sides.length < 2) {
      body.replaceChildren(...gone, nothing(sides.length ? "One alone is not compared" : "Nothing is selected",
        "Select two runs or more. Those that differ in the seed alone count as one, unless there is " +
        "nothing else."))
      return 30
    }
    const head = ["Results", ...sides.map((side) => el("a", {href: link("watch", {run: side.runs})}, side.title))]
    const against = select(sides.map(({name, title}) => [name, title]), base, (name) => change("base", name),
      {"aria-label": "Compared with"})
    const able = pairs.filter(({why}) => !why)
    const shown = able.find(({name}) => name == params.get("with")) ?? able[0]
    const named = ({name, title}) => able.length < 2 ? title :
      button(title, () => change("with", name), {"aria-pressed": String(name == shown.name)})
    const differing = {"Configuration that differs": config.map((row) => row.map(short)),
      "Machine and code that differ": environment}
    body.replaceChildren(...gone, table("What differs", head, {"": results, ...differing}),
      section("Image by image", el("p.row", el("label.check", "Compared with", against)),
        able.length > 0 && table("Image by image", columns, {"": able.map((one) => [named(one), ...one.text])}),
        pairs.filter(({why}) => why).map(({title, why}) => el("p.soft", `${title}: ${why}.`)),
        able.length > 0 && el("p.hint", answer.note)))
    if (shown && pair != shown.name + base) look(pair = shown.name + base, shown.name, base)
    if (!shown) pictures.replaceChildren()
    return live ? 5 : 30
  }

  async function look(mine, name, base) {
    pictures.replaceChildren(el("p.hint", "Reading the test images: the first time takes some seconds."))
    const path = withParams("compare/flipped", {run: runs, with: name, base})
    const {parts = [], seeds, why} = await ask(path).catch((error) => ({why: error.message}))
    if (mine != pair) return
    const image = (one) => el("figure",
      one.picture && el("img", {src: one.picture, alt: `Test image ${one.at}`, title: `Test image ${one.at}`}),
      el("figcaption", one.truth, el("span.soft", `not ${one.wrong}`),
        seeds > 1 && el("span.soft", `${one.seeds} of ${seeds} seeds`)))
    pictures.replaceChildren(...why ? [el("p.error", why)] : [], ...parts.map(({title, total, images}) =>
      section(`${title}: ${total.toLocaleString("en")} images`, el("div.pictures", images.map(image)),
        total > images.length && el("p.hint", `and ${total - images.length} more`))))
  }

  if (runs.length) poll(asked, draw)
  else body.append(nothing("Nothing is selected", "Select two runs or more, then Compare."))
}

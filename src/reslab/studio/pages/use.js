// Networks in use: pictures that are dropped, pasted, chosen or drawn, as each network sees them.

import {ask, el, ending, withParams} from "./api.js"
import {choose, link} from "./app.js"
import {pad} from "./draw.js"
import {button, empty, firstCommand, select} from "./parts.js"

const DRAWN = "the drawing"
const MADE = {onnx: "ONNX", safetensors: "safetensors", torch: "torch.export", results: "Dashboard, JSON, CSV, PNG"}
const pictures = [] // {name, blob}, the latest first; kept while other views are looked at

const failed = (place) => (error) => {
  if (error.name != "AbortError") place.replaceChildren(el("span.error", error.message))
}

export async function show(main, params) {
  const {networks, chosen, folder, most_bytes: most} = await ask(withParams("use/networks", {run: params.getAll("run")}))
  main.append(el("h1", "Use"))
  if (!chosen.length) return main.append(empty("No network yet",
    `No run in ${folder} has a checkpoint. Train one, which takes a minute:`, firstCommand()))

  const usable = chosen.filter((one) => !one.problem), grey = usable.find((one) => one.channels == 1)
  const checkpoint = params.get("checkpoint") ?? "best", asked = {run: usable.map((one) => one.name), checkpoint}
  const [first, second] = chosen.map((one) => one.name), titles = networks.map(({name, title}) => [name, title])
  for (const {name, problem} of chosen) if (problem) titles.unshift([name, `${name}: not to be used`])
  const go = (change) => {
    location.hash = link("use", {...Object.fromEntries(params), run: [first, second], ...change})
  }
  const choice = (label, value, options, change) =>
    el("label.field", el("span", label), select(options, value, (name) => go(change(name))))
  const state = el("p.hint", {role: "status"}), results = el("div.answers", {"aria-live": "polite"})
  const file = el("input.unseen",
    {type: "file", multiple: true, accept: "image/*", onchange: () => take(file.files)})
  main.append(el("div.row.chosen",
    choice("Network", first, titles, (name) => ({run: [name, second]})),
    choice("Beside it", second, [["", "none"], ...titles], (name) => ({run: [first, name]})),
    choice("Checkpoint", checkpoint, [["best", "best on validation"], ["latest", "latest"]],
      (name) => ({checkpoint: name}))),
  ...chosen.filter((one) => one.problem).map((one) => el("p.error", one.problem)),
  usable.length ? el("div.using",
    el("div", grey && [pad(grey.size, draw), el("p.hint", grey.size < 20 ?
      `Draw a digit that fills the square, as in ${grey.dataset}.` :
      `Draw a digit within the dashed square, where ${grey.dataset} has its own.`)],
    el("div.drop", el("p", "Drop or paste pictures here, or"), el("label.button", file, "Choose files"),
      el("p.hint", "PNG, JPEG, WebP, BMP, GIF, TIFF, PPM; each is resized as a whole, as in training."))),
    el("div", state, results)) : empty("No network to use", networks.length ?
      "Choose another above." : `No run in ${folder} has a checkpoint.`))
  if (!usable.length) return
  main.append(await takeaway(usable, checkpoint, params))

  function take(files) {
    for (const blob of files) pictures.unshift({name: blob.name || "a pasted picture", blob})
    draw()
  }

  // The drawing, of which there is one, takes the place of the one before.
  function draw(blob) {
    const at = pictures.findIndex((one) => one.name == DRAWN)
    if (blob !== undefined && at >= 0) pictures.splice(at, 1)
    if (blob) pictures.unshift({name: DRAWN, blob})
    results.replaceChildren(...pictures.map(asSeen))
  }

  // What the networks take a picture for: asked once, however often it is drawn.
  function asSeen(picture) {
    const place = el("div.tiles", el("p.soft", "…")), {name, blob} = picture
    const of = withParams("use/predict", {...asked, name})
    if (picture.of != of) picture.found = blob.size <= most ? ask(of, blob) : Promise.reject(new Error(
      `that is ${Math.round(blob.size / 2 ** 20)} MiB; ${most / 2 ** 20} MiB is the most`))
    picture.of = of
    picture.found.then(({answers}) =>
      place.replaceChildren(...answers.map((one, at) => answer(one, usable[at], name)))).catch(failed(place))
    const remove = () => {
      pictures.splice(pictures.indexOf(picture), 1)
      draw()
    }
    return el("section.panel", el("div.row", el("h2", name), name != DRAWN &&
      button("Remove", remove, {class: "quiet push", "aria-label": `Remove ${name}`})), place)
  }

  const signal = ending()
  addEventListener("paste", (event) => take(event.clipboardData.files), {signal})
  addEventListener("dragover", (event) => event.preventDefault(), {signal})
  addEventListener("drop", (event) => {
    event.preventDefault()
    take(event.dataTransfer.files)
  }, {signal})
  draw()
  state.textContent = "Loading torch and the network, which takes some seconds the first time …"
  ask(withParams("use/ready", asked), {}).then(() => {
    state.textContent = pictures.length ? "" : "Ready: what is drawn or dropped shows here."
  }).catch(failed(state))
}

function answer({seen, answer, top, notes, problem}, network, name) {
  if (problem) return el("p.error", problem)
  const bar = ({class: label, probability}) => [el("span", label),
    el("progress", {value: probability, "aria-label": label}),
    el("span", `${(100 * probability).toFixed(1)} %`)]
  return el("figure", el("img", {src: seen, alt: `${name} as ${network.title} sees it`}),
    el("div", el("p", el("strong.answer", answer), el("span.hint", network.title)),
      el("div.bars", top.flatMap(bar)), notes.length > 0 && name != DRAWN && el("p.hint", notes.join(", "))))
}

// Dashboards of the test set or of a folder, and files to take away.
async function takeaway(usable, checkpoint, params) {
  const {folders} = await ask("download/folders")
  const options = [["", "the test set"], ...folders.map((name) => [name, name])]
  const pictures = select(options, params.get("pictures") ?? "", (name) => choose(params, "pictures", name))
  const about = ({name: run, title}) => {
    const said = el("p.hint", {role: "status"}), links = el("p.row")
    const make = async (kind) => {
      said.textContent = "Making it …"
      for (;;) {
        const {order, files = [], told, said: found} = await ask("download/make",
          {run, kind, checkpoint, pictures: kind == "results" ? pictures.value : ""})
        if (found ?? told.length) said.textContent = found ?? `${told.join(" of ")} pictures …`
        links.replaceChildren(...files.map((name) => el("a", {target: name.endsWith(".html") && "_blank",
          href: `api/${withParams("download/made", {order, name})}`}, name.split("/").at(-1))))
        if (order) return
        await new Promise((done) => setTimeout(done, 500))
      }
    }
    return el("div", el("p.soft", title), el("div.row",
      el("a.button", {href: `api/${withParams("download/checkpoint", {run, checkpoint})}`}, "Checkpoint"),
      Object.entries(MADE).map(([kind, label]) => button(label, () => make(kind).catch(failed(said))))),
    said, links)
  }
  return el("section.panel", el("div.row", el("h2", "Take away"),
    el("label.row.push", "Dashboards are of", pictures)), ...usable.map(about))
}

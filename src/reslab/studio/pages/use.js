// Networks in use: pictures that are dropped, pasted, chosen or drawn, as each network sees them.

import {ask, el, ending, withParams} from "./api.js"
import {link, remember} from "./app.js"
import {pad} from "./draw.js"

const DRAWN = "the drawing"
const MADE = [["onnx", "ONNX"], ["safetensors", "safetensors"], ["torch", "torch.export"]]
const pictures = [] // {name, blob}, the latest first; kept while other views are looked at
const failed = (place) => (error) => { if (error.name != "AbortError") place.replaceChildren(el("span", {class: "error"}, error.message)) }

export async function show(main, params) {
  const {networks, chosen, folder} = await ask(withParams("use/networks", {run: params.getAll("run")}))
  if (!chosen.length) return main.append(el("h1", {}, "Use"), el("div", {class: "panel empty"},
    el("h2", {}, "No network yet"), el("p", {}, `No run in ${folder} has a checkpoint. Train one, which takes a minute:`),
    el("p", {}, el("code", {}, "reslab train dataset=digits model=baseline_cnn trainer.max_epochs=3"))))

  const usable = chosen.filter((one) => !one.problem), grey = usable.find((one) => one.channels == 1)
  const checkpoint = params.get("checkpoint") ?? "best", asked = {run: usable.map((one) => one.name), checkpoint}
  const [first, second] = chosen.map((one) => one.name), titles = networks.map(({name, title}) => [name, title])
  const choice = (label, value, options, change) => el("label", {class: "field"}, el("span", {}, label),
    el("select", {onchange: ({target}) => { location.hash = link("use", {...Object.fromEntries(params), run: [first, second], ...change(target.value)}) }},
      options.map(([name, text]) => el("option", {value: name, selected: name == value}, text))))
  const state = el("p", {class: "hint", role: "status"}), results = el("div", {class: "answers", "aria-live": "polite"})
  const file = el("input", {type: "file", multiple: true, accept: "image/*", class: "unseen", onchange: () => take(file.files)})
  main.append(el("h1", {}, "Use"), el("div", {class: "row chosen"},
    choice("Network", first, titles, (name) => ({run: [name, second]})),
    choice("Beside it", second, [["", "none"], ...titles], (name) => ({run: [first, name]})),
    choice("Checkpoint", checkpoint, [["best", "best on validation"], ["latest", "latest"]], (name) => ({checkpoint: name}))),
  ...chosen.filter((one) => one.problem).map((one) => el("p", {class: "error"}, one.problem)),
  el("div", {class: "using"}, el("div", {},
    grey && [pad(grey.size, draw), el("p", {class: "hint"}, grey.size < 20 ? `Draw a digit that fills the square, as in ${grey.dataset}.` :
      `Draw a digit within the dashed square, where ${grey.dataset} has its own.`)],
    el("div", {class: "drop"}, el("p", {}, "Drop or paste pictures here, or"), el("label", {class: "button"}, file, "Choose files"),
      el("p", {class: "hint"}, "PNG, JPEG, WebP, BMP, GIF, TIFF, PPM; each is resized as a whole, as in training."))),
  el("div", {}, state, results)))
  if (usable.length) main.append(await takeaway(usable, checkpoint, params))

  function take(files) {
    for (const blob of files) pictures.unshift({name: blob.name || "a pasted picture", blob})
    draw()
  }

  // The drawing, of which there is one, takes the place of the one before.
  function draw(blob) {
    const at = pictures.findIndex((one) => one.name == DRAWN)
    if (blob !== undefined && at >= 0) pictures.splice(at, 1)
    if (blob) pictures.unshift({name: DRAWN, blob})
    results.replaceChildren(...pictures.map((picture) => {
      const place = el("div", {class: "tiles"}, el("p", {class: "soft"}, "…")), of = withParams("use/predict", {...asked, name: picture.name})
      const found = picture.of == of ? picture.found : usable.length ? ask(of, picture.blob) : Promise.resolve({answers: []})
      Object.assign(picture, {of, found})
      found.then(({answers}) => place.replaceChildren(...answers.map((one, at) => answer(one, usable[at], picture)))).catch(failed(place))
      return el("section", {class: "panel"}, el("div", {class: "row"}, el("h2", {}, picture.name),
        picture.name != DRAWN && el("button", {type: "button", class: "quiet push", "aria-label": `Remove ${picture.name}`,
          onclick: () => { pictures.splice(pictures.indexOf(picture), 1); draw() }}, "Remove")), place)
    }))
  }

  addEventListener("paste", (event) => take(event.clipboardData.files), {signal: ending()})
  addEventListener("dragover", (event) => event.preventDefault(), {signal: ending()})
  addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files) }, {signal: ending()})
  draw()
  if (usable.length) state.textContent = "Loading torch and the network, which takes some seconds the first time …"
  if (usable.length) ask(withParams("use/ready", asked), {}).then(() => { state.textContent = pictures.length ? "" : "Ready: what is drawn or dropped shows here." }).catch(failed(state))
}

const answer = ({seen, answer, top, notes, problem}, network, {name}) => problem ? el("p", {class: "error"}, problem) :
  el("figure", {}, el("img", {src: seen, alt: `${name} as ${network.title} sees it`}),
    el("div", {}, el("p", {}, el("strong", {class: "answer"}, answer), el("span", {class: "hint"}, network.title)),
      el("div", {class: "bars"}, top.flatMap((one) => [el("span", {}, one.class),
        el("progress", {value: one.probability, "aria-label": one.class}), el("span", {}, `${(100 * one.probability).toFixed(1)} %`)])),
      notes.length > 0 && name != DRAWN && el("p", {class: "hint"}, notes.join(", "))))

// Dashboards of the test set or of a folder, and files to take away.
async function takeaway(usable, checkpoint, params) {
  const {folders} = await ask("download/folders")
  const pictures = el("select", {onchange: () => { params.set("pictures", pictures.value); remember(params) }},
    el("option", {value: ""}, "the test set"), folders.map((name) => el("option", {selected: name == params.get("pictures")}, name)))
  return el("section", {class: "panel"}, el("div", {class: "row"}, el("h2", {}, "Take away"), el("label", {class: "row push"}, "Dashboards are of", pictures)),
    ...usable.map((network) => {
      const said = el("p", {class: "hint", role: "status"}), links = el("p", {class: "row"})
      const make = async (kind) => {
        said.textContent = "Making it …"
        for (;;) {
          const {order, files = [], told, said: found} = await ask("download/make", {run: network.name, kind, checkpoint, pictures: kind == "results" ? pictures.value : ""})
          if (found ?? told.length) said.textContent = found ?? `${told.join(" of ")} pictures …`
          links.replaceChildren(...files.map((name) => el("a", {href: `api/${withParams("download/made", {order, name})}`,
            target: name.endsWith(".html") && "_blank"}, name.split("/").at(-1))))
          if (order) return
          await new Promise((done) => setTimeout(done, 500))
        }
      }
      return el("div", {}, el("p", {class: "soft"}, network.title), el("div", {class: "row"},
        el("a", {class: "button", href: `api/${withParams("download/checkpoint", {run: network.name, checkpoint})}`}, "Checkpoint"),
        ...[...MADE, ["results", "Dashboard, JSON, CSV, PNG"]].map(([kind, label]) =>
          el("button", {type: "button", onclick: () => make(kind).catch(failed(said))}, label))), said, links)
    }))
}

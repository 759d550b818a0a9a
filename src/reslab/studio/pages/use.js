// Networks in use: pictures that are dropped, pasted, chosen or drawn, as each network sees them.

import {ask, el, ending, poll} from "./api.js"
import {choose} from "./app.js"
import {pad} from "./draw.js"
import {filled, put} from "./drawn.js"

const DRAWN = "the drawing"
const pictures = [] // {name, blob}, the latest first; kept while other views are looked at

const failed = (place) => (error) => {
  if (error.name != "AbortError") place.replaceChildren(el("span.error", error.message))
}

export async function show(main, params) {
  const signal = ending()
  put(main, await ask(`use/networks?${params}`))
  main.addEventListener("change", ({target}) => {
    if (target.type == "file") take(target.files)
    else if (target.name == "pictures") choose(params, "pictures", target.value)
    else location.hash = `use?${filled(target.form)}`
  })
  main.addEventListener("click", ({target}) => target.name == "make" && make(target))
  const using = main.querySelector(".using")
  if (!using) return
  const {asked, most} = using.dataset
  const state = using.querySelector("[role=status]"), results = using.querySelector(".answers")
  const canvas = using.querySelector(".pad")
  if (canvas) pad(canvas, draw)

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
    const of = `use/predict${asked}&name=${encodeURIComponent(name)}`
    if (picture.of != of) picture.found = blob.size <= most ? ask(of, blob) : Promise.reject(new Error(
      `that is ${Math.round(blob.size / 2 ** 20)} MiB; ${most / 2 ** 20} MiB is the most`))
    picture.of = of
    picture.found.then((html) => put(place, html)).catch((error) => {
      picture.of = null // to be asked again
      failed(place)(error)
    })
    const remove = () => {
      pictures.splice(pictures.indexOf(picture), 1)
      draw()
    }
    return el("section.panel", el("div.row", el("h2", name), name != DRAWN &&
      el("button.quiet.push", {type: "button", onclick: remove, "aria-label": `Remove ${name}`}, "Remove")), place)
  }

  // Has something made to be taken away, and says how far it is until it is there.
  function make({value, parentElement}) {
    const place = parentElement.nextElementSibling, wanted = JSON.parse(value)
    const pictures = wanted.kind == "results" ? main.querySelector("[name=pictures]").value : ""
    poll(() => ["download/make", {...wanted, pictures}], (html) => {
      put(place, html)
      return !place.querySelector("a") && 0.5
    }, 1, () => place.isConnected, failed(place))
  }

  addEventListener("paste", (event) => take(event.clipboardData.files), {signal})
  addEventListener("dragover", (event) => event.preventDefault(), {signal})
  addEventListener("drop", (event) => {
    event.preventDefault()
    take(event.dataTransfer.files)
  }, {signal})
  draw()
  state.textContent = "Loading torch and the network, which takes some seconds the first time …"
  ask(`use/ready${asked}`, {}).then(() => {
    state.textContent = pictures.length ? "" : "Ready: what is drawn or dropped shows here."
  }).catch(failed(state))
}

// The address is the state: `#view?name=value`. A view is a module with `show(place, params, view)`.

import {el, ending, leave, say, withParams} from "./api.js"

const DRAWN = ["compare", "tables", "searches"] // by the server alone
const links = [...document.querySelectorAll("#views a")]
const main = document.getElementById("main")
const root = document.documentElement
const darkness = matchMedia("(prefers-color-scheme: dark)")

export const link = (view, params = {}) => `#${withParams(view, params)}`

// Puts what is chosen into the address, from where a reload, a link and a second tab have it.
export function remember(params) {
  const {view, bar} = here()
  bar.hash = `${view}?${params}` // by which one comes back to it
  history.replaceState(null, "", bar.hash)
}

// Chooses all values of a parameter; empty ones are none.
export function choose(params, name, ...values) {
  params.delete(name)
  for (const one of values) if (one) params.append(name, one)
  remember(params)
}

export const isDark = () =>
  root.dataset.theme == "auto" ? darkness.matches : root.dataset.theme == "dark"

function here() {
  const [view, text = ""] = location.hash.slice(1).split(/\?(.*)/s)
  const bar = links.find((one) => one.dataset.view == view) ?? links[0]
  return {bar, view: bar.dataset.view, params: new URLSearchParams(text)}
}

const moduleOf = (view) => import(`./${DRAWN.includes(view) ? "drawn" : view}.js`)

async function show() {
  const {bar, view, params} = here()
  leave()
  const signal = ending()
  for (const one of links) one.setAttribute("aria-current", one == bar ? "page" : "false")
  bar.hash = `${view}?${params}`
  bar.scrollIntoView({block: "nearest", inline: "center"})
  document.title = `${bar.textContent} · reslab`
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark"
  const place = el("div")
  main.replaceChildren(place)
  try {
    const module = await moduleOf(view)
    if (!signal.aborted) await module.show(place, params, view)
  } catch (error) {
    if (signal.aborted) return
    say(error.message)
    if (!error.refused) setTimeout(() => signal.aborted || show(), 2000)
  }
}

function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark"
  if (isDark() == darkness.matches) root.dataset.theme = "auto"
  localStorage.setItem("theme", root.dataset.theme)
  show()
}

document.getElementById("theme").addEventListener("click", switchTheme)
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault() // the address is the view's
  main.focus()
})
darkness.addEventListener("change", show)
addEventListener("hashchange", show)
show()
// What other views need, once the first is there: what draws figures takes a while to load.
setTimeout(() => Promise.all([import("./bokeh.js").then(({load}) => load()),
  ...links.map((one) => moduleOf(one.dataset.view))]).catch(() => {}), 3000)

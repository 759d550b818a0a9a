// The address is the state: `#view?name=value`. A view is a module with `show(main, params)`.

import {el, ending, leave, say, withParams} from "./api.js"

export const VIEWS = {
  runs: "Runs", watch: "Watch", train: "Train", compare: "Compare", tables: "Tables", use: "Use",
}

const links = document.getElementById("views")
const main = document.getElementById("main")
const root = document.documentElement
const darkness = matchMedia("(prefers-color-scheme: dark)")

export const link = (view, params = {}) => `#${withParams(view, params)}`

// Puts what is chosen into the address, from where a reload, a link and a second tab have it.
export const remember = (params) => history.replaceState(null, "", `#${here().view}?${params}`)

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
  return {view: Object.hasOwn(VIEWS, view) ? view : "runs", params: new URLSearchParams(text)}
}

async function show() {
  const {view, params} = here()
  leave()
  const signal = ending()
  for (const one of links.children)
    one.setAttribute("aria-current", one.hash == link(view) ? "page" : "false")
  links.querySelector("[aria-current=page]").scrollIntoView({block: "nearest", inline: "center"})
  document.title = `${VIEWS[view]} · reslab`
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark"
  const place = el("div")
  main.replaceChildren(place)
  try {
    const module = await import(`./${view}.js`)
    if (!signal.aborted) await module.show(place, params)
  } catch (error) {
    if (!signal.aborted) say(error.message)
  }
}

function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark"
  if (isDark() == darkness.matches) root.dataset.theme = "auto"
  localStorage.setItem("theme", root.dataset.theme)
  show()
}

links.append(...Object.entries(VIEWS).map(([view, name]) => el("a", {href: link(view)}, name)))
document.getElementById("theme").addEventListener("click", switchTheme)
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault() // the address is the view's
  main.focus()
})
darkness.addEventListener("change", show)
addEventListener("hashchange", show)
show()
// What draws figures takes a while to load: ahead of them, once the first view is there.
setTimeout(() => import("./bokeh.js").then(({load}) => load()).catch(() => {}), 3000)

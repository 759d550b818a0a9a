// What all views need: elements, and requests that come again.

let view = new AbortController()
const status = document.getElementById("status")

// A view is left: what it asks for again and again, it asks for no more.
export function leave() {
  view.abort()
  view = new AbortController()
  say("")
}

// The signal of when the view that is shown is left.
export const ending = () => view.signal

export function say(text) {
  status.textContent = text
  status.hidden = !text
}

// An element: `el("p.hint.row", "text")`, with attributes if an object follows its name. Whatever it
// shows is text, never HTML. `onclick: f` listens, `false` leaves out.
export function el(selector, ...children) {
  const [tag, ...classes] = selector.split(".")
  const one = document.createElement(tag)
  const attributes = children[0]?.constructor == Object ? children.shift() : {}
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue
    if (name.startsWith("on")) one.addEventListener(name.slice(2), value)
    else if (name in one && typeof value != "string") one[name] = value
    else one.setAttribute(name, value)
  }
  one.classList.add(...classes)
  one.append(...children.flat().filter((child) => child != null && child !== false))
  return one
}

// The path with more parameters, whatever their values are; a list gives its name several times.
export function withParams(path, params) {
  const pairs = Object.entries(params).flatMap(([name, value]) =>
    [value].flat().filter((one) => one != null && one !== "").map((one) => [name, one]))
  return pairs.length ? `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams(pairs)}` : path
}

// The answer to GET, or to POST with a body, a Blob or what becomes JSON: what was JSON, or the text
// of HTML. Throws the server's words.
export async function ask(path, body) {
  const signal = AbortSignal.any([view.signal, AbortSignal.timeout(60000)])
  const options = {signal, method: body === undefined ? "GET" : "POST",
    headers: {Accept: "text/html, application/json"}}
  if (body !== undefined) options.body = body instanceof Blob ? body : JSON.stringify(body)
  let answer
  try {
    answer = await fetch(`/api/${path}`, options)
  } catch (error) {
    if (options.signal.aborted && error.name == "AbortError") throw error
    throw new Error("The studio does not answer. This page goes on by itself when it does again.")
  }
  if (answer.ok && answer.headers.get("Content-Type").startsWith("text/html")) return answer.text()
  const content = await answer.json()
  if (!answer.ok) throw Object.assign(new Error(content.error), {refused: answer.status < 500})
  return content
}

// Asks again and again until the view is left; `path` may be a function, which may give a body, too.
// What `handle` returns is how many seconds to wait, if it is not the usual, and false ends it; so
// does that it is no more `wanted`, or `refused`, if somebody is to be told. Returns what asks at
// once, after which no answer from before is heard.
export function poll(path, handle, seconds = 1, wanted = () => true, refused = null) {
  const {signal} = view
  let silent = false, latest
  const look = async () => {
    const mine = latest = {}
    const over = () => signal.aborted || mine != latest || !wanted()
    let wait = seconds
    try {
      const content = await ask(...[typeof path == "function" ? path() : path].flat())
      if (over()) return
      if (silent) say("") // what others have said stays
      silent = false
      wait = handle(content) ?? seconds
    } catch (error) {
      if (over()) return
      if (error.refused && refused) return refused(error)
      silent = true
      say(error.message)
    }
    if (wait === false) return
    await pause(wait)
    if (!over()) look()
  }
  look()
  return look
}

// Waits, and while nobody looks at the page until somebody does.
async function pause(seconds) {
  await new Promise((done) => setTimeout(done, 1000 * seconds))
  if (!document.hidden) return
  await new Promise((done) => document.addEventListener("visibilitychange", done, {once: true}))
}

// The published tables: what is there, what runs, and what is still to be started.

import {ask, el, poll, say, withParams} from "./api.js"
import {VIEWS, link} from "./app.js"

const opens = (runs) => link("watch" in VIEWS ? "watch" : "runs", {run: runs})

export async function show(main, params) {
  const {tables} = await ask("tables")
  const table = tables.find((one) => one.name == params.get("table")) ?? tables[0]
  const asked = {table: table.name, with: params.get("with"), quick: table.quick.length ? params.get("quick") : ""}
  const go = (change) => { location.hash = link("tables", {...asked, ...change}) }
  const changes = el("input", {value: asked.with ?? "", placeholder: "dataset=digits trainer.max_epochs=3", spellcheck: "false"})
  const found = el("div", {}, el("p", {class: "soft", role: "status"}, "Composing the table's runs; the first takes some seconds …"))
  main.append(el("div", {class: "row"}, el("h1", {}, "Tables"), el("nav", {class: "row", "aria-label": "Published tables"}, tables.map((one) => el("a", {class: "chip", href: link("tables", {...asked, table: one.name}),
      "aria-current": one == table && "page"}, one.title)))),
    el("form", {class: "row", onsubmit: (event) => { event.preventDefault(); go({with: changes.value}) }},
      el("label", {class: "row changes"}, "Changes", changes), el("button", {}, "Apply"),
      table.quick.length > 0 && el("label", {class: "check"}, el("input", {type: "checkbox", checked: asked.quick == "1",
        onchange: (event) => go({quick: event.target.checked ? "1" : ""})}), `Quick scale (${table.quick.join(" ")})`)), found)

  let shown = ""
  poll(withParams("tables/cells", asked), (answer) => {
    const text = JSON.stringify(answer)
    if (text != shown) found.replaceChildren(...draw(answer, asked))
    shown = text
  }, 2)
}

function draw({heading, columns, rows, pairs, notes, counts, left, start, command}, asked) {
  const states = Object.entries(counts).map(([state, count]) => el("span", {class: `state ${state}`}, `${count} ${state}`))
  const button = start.length > 0 && "train" in VIEWS && el("button", {type: "button", class: "primary push", onclick: async () => {
    button.disabled = true
    try {
      await ask("queue/add", {table: asked.table, quick: asked.quick == "1", with: asked.with ?? "", names: start.map((one) => one.name)})
      location.hash = link("train")
    } catch (error) {
      say(error.message)
      button.disabled = false
    }
  }}, `Start ${start.length} ${start.length == 1 ? "run" : "runs"}`)
  return [el("h2", {}, heading), el("div", {class: "row"}, ...states, left && el("span", {class: "soft"}, left), button),
    grid([columns[0], "Seeds", ...columns.slice(1)], rows.map(({texts: [name, ...texts], cells}) => {
      const finished = cells.filter((cell) => cell.state == "finished").map((cell) => cell.run)
      return [[name, ...cells.filter((cell) => cell.why).map((cell) => el("div", {class: "keys error"}, `seed ${cell.seed}: ${cell.why}`))],
        el("span", {class: "seeds"}, cells.map((cell) => el(cell.state == "missing" ? "span" : "a", {class: `state ${cell.state}`,
          title: cell.state, href: cell.state != "missing" && opens([cell.run])}, `${cell.seed}`, el("span", {class: "unseen"}, ` ${cell.state}`),
        cell.done != null && ` ${Math.floor(100 * cell.done)} %`))),
        ...texts.map((text) => finished.length && text ? el("a", {class: "opens", href: opens(finished)}, text) : text)]
    })),
    ...(pairs ? [el("h2", {}, "Differences on the same test images"), grid(...pairs)] : []),
    el("ul", {class: "hint notes"}, notes.map((note) => el("li", {}, note))),
    el("p", {class: "hint"}, "The same in a terminal: ", el("code", {}, command))]
}

const grid = (columns, rows) => el("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": "A table"}, el("table", {},
  el("thead", {}, el("tr", {}, columns.map((name) => el("th", {scope: "col"}, name)))),
  el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, ...[cell].flat())))))))

// The published tables: what is there, what runs, and what is still to be started.

import {ask, el, poll, withParams} from "./api.js"
import {link} from "./app.js"
import {action, check, table} from "./parts.js"

const opens = (runs) => link("watch", {run: runs})

export async function show(main, params) {
  const {tables, first} = await ask("tables")
  const called = (name) => tables.find((one) => one.name == name)
  const {name, quick} = called(params.get("table")) ?? called(first)
  const asked = {table: name, with: params.get("with"), quick: quick.length ? params.get("quick") : ""}
  const go = (change) => { location.hash = link("tables", {...asked, ...change}) }
  const changes = el("input",
    {value: asked.with ?? "", placeholder: "dataset=digits trainer.max_epochs=3", spellcheck: "false"})
  const apply = (event) => {
    event.preventDefault()
    go({with: changes.value})
  }
  const found = el("div",
    el("p.soft", {role: "status"}, "Composing the table's runs; the first takes some seconds …"))
  const links = tables.map((one) => el("a.chip", {href: link("tables", {...asked, table: one.name}),
    "aria-current": one.name == name && "page"}, one.title))
  main.append(
    el("div.row", el("h1", "Tables"), el("nav.row", {"aria-label": "Published tables"}, links)),
    el("form.row", {onsubmit: apply}, el("label.row.changes", "Changes", changes), el("button", "Apply"),
      quick.length > 0 && check(`Quick scale (${quick.join(" ")})`, asked.quick == "1",
        (on) => go({quick: on ? "1" : ""}))), found)

  let shown = ""
  poll(withParams("tables/cells", asked), (answer) => {
    const text = JSON.stringify(answer)
    if (text != shown) found.replaceChildren(...draw(answer, asked))
    shown = text
  }, 2)
}

function draw({heading, columns, rows, pairs, notes, counts, left, start, command}, asked) {
  const begin = async () => {
    const names = start.map((one) => one.name)
    await ask("queue/add", {table: asked.table, quick: asked.quick == "1", with: asked.with ?? "", names})
    location.hash = link("train")
  }
  return [el("h2", heading), el("div.row",
    Object.entries(counts).map(([state, count]) => el("span", {class: `state ${state}`}, `${count} ${state}`)),
    left && el("span.soft", left), start.length > 0 &&
      action(`Start ${start.length} ${start.length == 1 ? "run" : "runs"}`, begin, {class: "primary push"})),
  table(heading, [columns[0], "Seeds", ...columns.slice(1)], {"": rows.map(line)}),
  ...pairs ? [el("h2", PAIRS), table(PAIRS, pairs[0], {"": pairs[1]})] : [],
  el("ul.hint.notes", notes.map((note) => el("li", note))),
  el("p.hint", "The same in a terminal: ", el("code", command))]
}

const PAIRS = "Differences on the same test images"

function line({texts: [name, ...texts], cells}) {
  const finished = cells.filter((cell) => cell.state == "finished").map((cell) => cell.run)
  const faults = cells.filter((cell) => cell.why)
    .map((cell) => el("div.keys.error", `seed ${cell.seed}: ${cell.why}`))
  return [[name, ...faults], el("span.seeds", cells.map(seed)),
    ...texts.map((text) => finished.length && text ? el("a.opens", {href: opens(finished)}, text) : text)]
}

// A seed's number with its state, which leads to its run if there is one.
function seed({seed, state, run, done}) {
  const there = state != "missing"
  return el(there ? "a" : "span", {class: `state ${state}`, title: state, href: there && opens([run])},
    `${seed}`, el("span.unseen", ` ${state}`), done != null && ` ${Math.floor(100 * done)} %`)
}

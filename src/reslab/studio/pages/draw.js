// A pad to draw a digit on, white on black as the data sets have them.

import {el} from "./api.js"

const SIDE = 280 // pixels
// One for good: what is drawn stays while other views are looked at.
const canvas = el("canvas", {width: SIDE, height: SIDE, role: "img",
  "aria-label": "A pad to draw a digit on, with the mouse or a finger"})
const context = canvas.getContext("2d", {alpha: false})
let last = null, given = () => {}

function line(event) {
  const box = canvas.getBoundingClientRect()
  for (const {clientX, clientY} of [...(event.getCoalescedEvents?.() ?? []), event]) {
    const point = [(clientX - box.left) * SIDE / box.width, (clientY - box.top) * SIDE / box.height]
    context.beginPath()
    context.moveTo(...(last ?? point))
    context.lineTo(...point)
    context.stroke()
    last = point
  }
}
canvas.onpointerdown = (event) => {
  if (event.button) return
  event.preventDefault()
  canvas.setPointerCapture(event.pointerId)
  line(event)
}
canvas.onpointermove = (event) => last && line(event)
canvas.onpointerup = canvas.onpointercancel = () => {
  if (last) canvas.toBlob((blob) => given(blob))
  last = null
}

// Puts the pad in a place; `drawn` is called with a PNG after each stroke, with null when it is wiped.
export function pad(place, drawn) {
  given = drawn
  // Lines are as wide as in the data: of 8 pixels more than one, about 2 of MNIST's 28.
  const small = place.dataset.size < 20, lineWidth = SIDE / (small ? 7 : 12)
  Object.assign(context, {lineWidth, lineCap: "round", lineJoin: "round", strokeStyle: "white"})
  const wipe = () => {
    context.fillRect(0, 0, SIDE, SIDE)
    drawn(null)
  }
  place.append(el("div", {class: !small && "margin"}, canvas), el("button", {type: "button", onclick: wipe}, "Wipe"))
}

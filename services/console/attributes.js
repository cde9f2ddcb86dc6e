// Attributes of products as sliders: how much each counts for a consumer, to be moved by hand.

import { make } from "./dom.js";
import { plain } from "./words.js";

const LOW = 1;
const HIGH = 10;
const STEP = 0.1;
const REST_MS = 150;

/** One slider for each attribute of an answer; `changed` gets the levels that were moved, once they rest. */
export function sliders(attributes, changed) {
  const moved = new Map();
  let resting = 0;
  const tell = () => {
    clearTimeout(resting);
    resting = setTimeout(() => changed(Object.fromEntries(moved)), REST_MS);
  };
  const rows = attributes.map((it, n) => slider(it, `attribute-${n}`, (level) => tell(moved.set(it.name, level))));
  const reset = () => {
    moved.clear();
    rows.forEach((row) => row.reset());
    tell();
  };
  return make(
    "details",
    { class: "attributes", open: true },
    make("summary", {}, "What counts for this consumer"),
    make("p", { class: "how" }, "Moving a level ranks the list anew; nothing of it is kept."),
    make("ul", { class: "bars" }, rows.map((row) => row.element)),
    make("button", { type: "button", onclick: reset }, "Back to their own"),
  );
}

/** A level with its number beside it. What others wrote is text and no attribute of an element. */
function slider(attribute, id, moved) {
  const own = attribute.level.toFixed(1);
  const number = make("output", { class: "number" }, own);
  const input = make("input", {
    id,
    type: "range",
    min: LOW,
    max: HIGH,
    step: STEP,
    value: own,
    oninput: () => {
      number.textContent = Number(input.value).toFixed(1);
      moved(Number(input.value));
    },
  });
  const reset = () => {
    input.value = own;
    number.textContent = own;
  };
  const label = make("label", { class: "label", for: id }, plain(attribute.name), " ", make("span", { class: "how" }, attribute.description));
  return { element: make("li", {}, label, make("span", { class: "bar" }, input, number)), reset };
}

// One taste of a consumer as a row: a slider for its weight, and its words.

import { evidence, make } from "./dom.js";
import { aged, percent } from "./words.js";

const STEP = 0.25;
const OWN = "in your own words";

/** A taste that is known. `wish` is what a request says of it, or null where it is as it was stored. */
export function stored(taste, id, tell) {
  let text = taste.text;
  const weight = slider(id, taste.weight, tell);
  const said = make("label", { for: id }, text);
  const about = make("span", { class: "how" }, aged(taste.evidence_age_seconds));
  const facts = evidence(taste.facts);
  const use = (words) => {
    text = words;
    said.textContent = words;
    about.textContent = words === taste.text ? aged(taste.evidence_age_seconds) : OWN;
    if (facts) facts.hidden = words !== taste.text; // own words rest on nothing
  };
  const words = rewording(id, () => text, use, tell);
  return {
    element: make("li", {}, said, weight.element, about, facts, words.element),
    counts: () => weight.value() > 0,
    wish: () => {
      const changed = { ...(weight.moved() && { weight: weight.value() }), ...(text !== taste.text && { text }) };
      return Object.keys(changed).length ? { facet_id: taste.facet_id, ...changed } : null;
    },
    restore: () => {
      weight.restore();
      use(taste.text);
      words.close();
    },
  };
}

/** A taste of one's own; one without weight is not asked for. `drop` takes the row away. */
export function addition(stance, text, id, tell, drop) {
  const weight = slider(id, 1, tell);
  const remove = make("button", { type: "button", class: "plain remove" }, "Remove");
  const row = {
    element: make("li", {}, make("label", { for: id }, text), weight.element, make("span", { class: "how" }, OWN), " ", remove),
    counts: () => weight.value() > 0,
    wish: () => (weight.value() > 0 ? { stance, text, weight: weight.value() } : null),
    restore: () => drop(row),
  };
  remove.addEventListener("click", () => drop(row));
  return row;
}

function slider(id, stored, tell) {
  let value = stored; // a stored weight need not be on a step
  const shown = make("output", { for: id, class: "number" }, percent(value));
  const input = make("input", { id, type: "range", min: 0, max: 1, step: STEP, value });
  const set = (weight) => {
    value = weight;
    shown.textContent = percent(value);
  };
  input.addEventListener("input", () => {
    set(input.valueAsNumber);
    tell();
  });
  const restore = () => {
    input.value = stored;
    set(stored);
  };
  return { element: make("span", { class: "slide" }, input, shown), value: () => value, moved: () => value !== stored, restore };
}

/** Other words for a taste, unfolded on demand. */
function rewording(id, now, use, tell) {
  const entry = make("input", { id: `${id}-words`, class: "entry", maxlength: 200, autocomplete: "off" });
  const form = make("form", { class: "words" }, make("label", { for: `${id}-words`, class: "how" }, "Other words"), entry, make("button", { class: "plain" }, "Use"));
  const element = make("details", { class: "reword" }, make("summary", {}, "Say it in other words"), form);
  element.addEventListener("toggle", () => {
    if (element.open) entry.value = now();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = entry.value.trim();
    if (!words) return;
    use(words);
    tell();
  });
  return { element, close: () => element.removeAttribute("open") };
}

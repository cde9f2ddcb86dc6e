// What is known of a consumer: their tastes as sliders, which change the ranking at once, and what they had.

import { Problem, ask } from "./api.js";
import { evidence, fill, make } from "./dom.js";
import { aged, percent } from "./words.js";

const STEP = 0.25;
const PAUSE_MS = 150;

/** Fills the place with the consumer's profile; `change` is told the weights that are not as they were stored. */
export function tastes(place, consumer, change) {
  return ask(`/v1/consumers/${encodeURIComponent(consumer)}`)
    .then((profile) => fill(place, panel(profile, change)))
    .catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
      fill(place); // nobody knows them, which the ranking says too
    });
}

function panel(profile, change) {
  const weights = new Map();
  let waiting = 0;
  const tell = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change([...weights].map(([facet_id, weight]) => ({ facet_id, weight }))), PAUSE_MS);
  };
  const set = (taste, weight) => {
    if (weight === taste.weight) weights.delete(taste.facet_id);
    else weights.set(taste.facet_id, weight);
    tell();
  };
  const rows = profile.tastes.map((taste, n) => slider(taste, `taste-${n}`, set));
  const reset = make("button", { type: "button", class: "plain" }, "As stored");
  reset.addEventListener("click", () => {
    for (const row of rows) row.restore();
    weights.clear();
    tell();
  });
  const sides = [["for", "Drawn to"], ["against", "Put off by"]].map(([stance, title]) => {
    const own = rows.filter((row) => row.stance === stance);
    const list = own.length ? make("ul", { class: "tastes-list" }, own.map((row) => row.element)) : make("p", { class: "text nothing" }, "Nothing known.");
    return make("section", { class: `side ${stance}${own.length ? "" : " empty"}` }, make("h3", {}, title), list);
  });
  return make(
    "details",
    { class: "profile" },
    make("summary", {}, `What is known of ${profile.consumer_id}`),
    profile.tastes.length ? make("p", { class: "how" }, "Move a slider to see the ranking if this mattered more or less. Nothing is kept.") : null,
    make("div", { class: "sides" }, sides),
    profile.tastes.length ? reset : null,
    had(profile),
  );
}

function slider(taste, id, set) {
  const shown = make("output", { for: id, class: "number" }, percent(taste.weight));
  const input = make("input", { id, type: "range", min: 0, max: 1, step: STEP, value: taste.weight });
  // A stored weight need not be on a step: moving away and back gives it again only by the button.
  input.addEventListener("input", () => {
    shown.textContent = percent(input.valueAsNumber);
    set(taste, input.valueAsNumber);
  });
  const element = make(
    "li",
    {},
    make("label", { for: id }, taste.text),
    make("span", { class: "slide" }, input, shown),
    make("span", { class: "how" }, aged(taste.evidence_age_seconds)),
    evidence(taste.facts),
  );
  const restore = () => {
    input.value = taste.weight;
    shown.textContent = percent(taste.weight);
  };
  return { stance: taste.stance, element, restore };
}

function had(profile) {
  if (!profile.history.length) return null;
  const items = profile.history.map((it) => {
    const stars = it.rating === null ? "" : ` · ${it.rating} stars`;
    return make("li", {}, make("a", { href: `#/product/${encodeURIComponent(it.product_id)}` }, it.title || it.product_id), make("span", { class: "how" }, stars));
  });
  return make("details", {}, make("summary", {}, `The last ${items.length} products of ${profile.interactions}`), make("ol", { class: "evidence" }, items));
}

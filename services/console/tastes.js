// What is known of a consumer, and what they had. Each taste can be weighed, reworded or left out, and others added;
// the ranking changes at once.

import { Problem, ask } from "./api.js";
import { fill, make } from "./dom.js";
import { addition, stored } from "./taste.js";

const PAUSE_MS = 150;
const NOT_FOUND = 404;
const SIDES = [["for", "Drawn to"], ["against", "Put off by"]];

/** Fills the place with the consumer's profile; `change` is told which facets are not as they were stored. */
export function tastes(place, consumer, change) {
  return ask(`/v1/consumers/${encodeURIComponent(consumer)}`)
    .then((profile) => fill(place, panel(profile, change)))
    .catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
      // A stranger may say what they like; else what is wrong is told by the ranking too.
      fill(place, problem.status === NOT_FOUND ? panel(stranger(consumer), change) : []);
    });
}

function stranger(consumer) {
  return { consumer_id: consumer, tastes: [], history: [], places: Infinity };
}

function panel(profile, change) {
  const rows = new Set();
  let waiting = 0;
  const tell = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change(wishes(rows)), PAUSE_MS);
  };
  const sides = SIDES.map(([stance, title]) => side(stance, title, profile, rows, tell));
  const reset = make("button", { type: "button", class: "plain reset" }, "As stored");
  reset.addEventListener("click", () => {
    for (const row of rows) row.restore();
    tell();
  });
  return make(
    "details",
    { class: "profile" },
    make("summary", {}, `What is known of ${profile.consumer_id}`),
    make("p", { class: "how" }, "Weigh a taste, say it in other words or add one, and the ranking changes at once. Nothing of it is kept."),
    make("div", { class: "sides" }, sides),
    reset,
    had(profile),
  );
}

/** What a request says of the rows. */
function wishes(rows) {
  const all = [...rows].map((row) => row.wish()).filter(Boolean);
  return { facets: all.filter((it) => "facet_id" in it), new_facets: all.filter((it) => !("facet_id" in it)) };
}

function side(stance, title, profile, rows, tell) {
  const own = new Set();
  const list = make("ul", { class: "tastes-list" });
  const section = make("section", {});
  const nothing = make("p", { class: "text nothing" }, "Nothing known.");
  const show = () => {
    section.className = `side ${stance}${own.size ? "" : " empty"}`;
    nothing.hidden = own.size > 0;
  };
  const put = (row) => {
    for (const set of [own, rows]) set.add(row);
    list.append(row.element);
    show();
  };
  const drop = (row) => {
    const left = row.element.contains(document.activeElement);
    for (const set of [own, rows]) set.delete(row);
    row.element.remove();
    if (left) entry.focus(); // else who works by keyboard would start over at the top
    show();
    tell();
  };
  profile.tastes.filter((it) => it.stance === stance).forEach((taste, n) => put(stored(taste, `${stance}-${n}`, tell)));
  let added = 0;
  const full = () => [...own].filter((row) => row.counts()).length >= profile.places;
  const add = (text) => {
    put(addition(stance, text, `${stance}-new-${added++}`, tell, drop));
    tell();
  };
  const { form, entry } = adding(stance, title, full, profile.places, add);
  section.append(make("h3", {}, title), list, nothing, form);
  show();
  return section;
}

/** Where a taste of one's own is put in. */
function adding(stance, title, full, places, add) {
  const entry = make("input", { id: `add-${stance}`, class: "entry", maxlength: 200, autocomplete: "off" });
  const said = make("span", { class: "how", role: "status" });
  const form = make(
    "form",
    { class: "words" },
    make("label", { for: `add-${stance}`, class: "how" }, `${title} something else, in your own words`),
    entry,
    make("button", { class: "plain" }, "Add"),
    said,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = entry.value.trim();
    said.textContent = text && full() ? `All ${places} places are taken: set one to 0 to make room.` : "";
    if (!text || full()) return;
    add(text);
    entry.value = "";
  });
  return { form, entry };
}

function had(profile) {
  if (!profile.history.length) return null;
  const items = profile.history.map((it) => {
    const stars = it.rating === null ? "" : ` · ${it.rating} stars`;
    return make("li", {}, make("a", { href: `#/product/${encodeURIComponent(it.product_id)}` }, it.title || it.product_id), make("span", { class: "how" }, stars));
  });
  return make("details", {}, make("summary", {}, `The last ${items.length} products of ${profile.interactions}`), make("ol", { class: "evidence" }, items));
}

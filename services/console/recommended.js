// One ranked product with what speaks for it and against it, and what its score rests on.

import { bar, evidence, make } from "./dom.js";
import { aged, percent, plain } from "./words.js";

const KINDS = {
  pair: "written for this pair",
  entity: "composed from what is known of both",
  none: "nothing known",
  expired: "what was known is too old",
};

export function recommended(item) {
  const reasons = item.reasons || [];
  return make(
    "li",
    { class: "product" },
    make(
      "div",
      { class: "head" },
      make("span", { class: "rank", "aria-label": `Rank ${item.rank}` }, String(item.rank)),
      make("h2", {}, make("a", { href: `#/product/${encodeURIComponent(item.product_id)}` }, item.title || item.product_id)),
      make("span", { class: "id" }, item.product_id),
      make("span", { class: "scores" }, score(item)),
    ),
    item.note ? make("p", { class: "note" }, item.note) : null,
    make("div", { class: "sides" }, reasons.map(side)),
    item.reasons_note ? make("p", { class: "how unworded" }, `Not worded now: ${item.reasons_note}.`) : null,
    parts(item),
  );
}

function score(item) {
  const said = [];
  if (item.click !== null) said.push(make("span", { class: "click" }, percent(item.click)), " likely liked");
  if (item.rating !== null) said.push(make("span", { class: "stars" }, ` · ${item.rating.toFixed(2)} stars`));
  return said;
}

function side(reason) {
  const isFor = reason.stance === "for";
  const age = reason.fact_ids.length ? `, ${aged(reason.evidence_age_seconds)}` : "";
  return make(
    "section",
    { class: `side ${isFor ? "for" : "against"}${reason.fact_ids.length ? "" : " empty"}` },
    make("h3", {}, make("span", { "aria-hidden": "true" }, isFor ? "+ " : "− "), isFor ? "For" : "Against"),
    make("p", { class: reason.fact_ids.length ? "text" : "text nothing" }, reason.text || "—"),
    make("p", { class: "how" }, (KINDS[reason.granularity] || plain(reason.granularity)) + age),
    evidence(reason.facts),
  );
}

/** What the score rests on: contributions where the service gives them, else where the model looked. */
function parts(item) {
  const added = (item.contributions || []).map((it) => [it.part, it.click, `${it.click < 0 ? "−" : "+"}${percent(Math.abs(it.click))}`]);
  const looked = (item.attention || []).map((it) => [it.field, it.share, percent(it.share)]);
  const lists = [
    ["What adds to the likelihood, and what takes away", added, Math.max(...added.map(([, value]) => Math.abs(value)), 1e-9)],
    ["Where the model looked (attention, not a cause)", looked, 1],
  ].filter(([, rows]) => rows.length);
  if (!lists.length) return null;
  return make(
    "details",
    { class: "parts" },
    make("summary", {}, "What the score rests on"),
    lists.map(([title, rows, most]) => make("section", {}, make("h3", {}, title), bars(rows, most))),
  );
}

/** Bars of rows of name, value and text, longest first; `most` is the value that fills a bar. */
function bars(rows, most) {
  const sorted = rows.toSorted((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  return make("ul", { class: "bars" }, sorted.map(([name, value, text]) => make("li", {}, make("span", { class: "label" }, plain(name)), bar(value / most, text))));
}

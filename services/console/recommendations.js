// A consumer's ranked products, each with what speaks for it and against it, and what the score rests on.

import { Problem, ask } from "./api.js";
import { sliders } from "./attributes.js";
import { bar, evidence, fill, make, pair } from "./dom.js";
import { tastes } from "./tastes.js";
import { aged, ago, day, minute, percent, plain } from "./words.js";

const COUNTS = [5, 10, 20, 50];
const KINDS = {
  pair: "written for this pair",
  entity: "composed from what is known of both",
  none: "nothing known",
  expired: "what was known is too old",
};

/** The page; `consumer` is shown at once if it is given. */
export function recommendations(main, tell, fail, consumer, count) {
  const known = make("datalist", { id: "known" });
  const id = make("input", { id: "consumer", type: "search", maxlength: 256, value: consumer, list: "known", autocomplete: "off", spellcheck: "false" });
  id.addEventListener("input", () => suggest(id.value, known));
  const many = make("select", { id: "count" }, COUNTS.map((n) => make("option", { value: n, selected: n === count }, String(n))));
  const show = (event) => {
    event.preventDefault();
    location.hash = `#/consumer/${encodeURIComponent(id.value)}/${many.value}`;
  };
  const profile = make("section", { "aria-label": "Consumer" });
  const results = make("section", { "aria-label": "Recommendations" });
  fill(
    main,
    make("h1", {}, "Recommendations"),
    make(
      "form",
      { class: "ask", onsubmit: show },
      make("p", {}, make("label", { for: "consumer" }, "Consumer"), id, known),
      make("p", {}, make("label", { for: "count" }, "Products"), many),
      make("button", {}, "Show"),
    ),
    profile,
    results,
  );
  suggest(consumer, known);
  if (!consumer) {
    fill(results, make("p", { class: "note" }, "Give a consumer's id. An id nobody knows is answered too: as a newcomer."));
    id.focus();
    return;
  }
  const levels = make("div");
  const about = make("div");
  const list = make("ol", { class: "products" });
  const wishes = { facets: [], attributes: {} };
  let latest = 0;
  const rank = (change) => {
    Object.assign(wishes, change);
    const mine = ++latest; // an answer that was overtaken is not shown
    tell("Asking …");
    ask("/v1/recommend", { consumer_id: consumer, k: count, contributions: true, ...wishes })
      .then((answer) => {
        if (mine !== latest) return;
        fill(about, told(answer, wishes.facets.length));
        fill(list, answer.items.map((item) => product(item, answer)));
        if (!levels.hasChildNodes() && (answer.attributes || []).length) {
          fill(levels, sliders(answer.attributes, (attributes) => rank({ attributes })));
        }
        fill(results, about, levels, list);
        tell(`${answer.items.length} products for ${consumer}.`);
      })
      .catch((problem) => mine === latest && fail(results, problem));
  };
  rank({});
  tastes(profile, consumer, (facets) => rank({ facets }));
}

/** Offers the ids that begin as what was typed; without an answer there is nothing to offer. */
function suggest(typed, list) {
  ask(`/v1/consumers?starting=${encodeURIComponent(typed)}`)
    .then((answer) => fill(list, answer.consumer_ids.map((it) => make("option", {}, it))))
    .catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
      fill(list);
    });
}

/** What the answer says about itself. */
function told(answer, changed) {
  const known = answer.evidence_time
    ? `last heard of ${ago(answer.evidence_time, answer.answered_at)} (${day(answer.evidence_time)})`
    : "nothing known of this consumer";
  return make(
    "div",
    {},
    answer.degraded ? make("p", { class: "note bad" }, make("strong", {}, "Less than usual: "), answer.cause || "something failed", ".") : null,
    changed ? make("p", { class: "note" }, make("strong", {}, "What if: "), `ranked with ${changed} ${changed === 1 ? "taste" : "tastes"} other than stored.`) : null,
    answer.cold ? make("p", { class: "note" }, make("strong", {}, "A newcomer: "), "ranked by the products' side and popularity.") : null,
    make(
      "dl",
      { class: "facts" },
      pair("Consumer", known),
      pair("Release", answer.release_id),
      pair("Method", answer.method),
      pair("Knows the world until", minute(answer.as_of)),
    ),
  );
}

function product(item, answer) {
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
    make("div", { class: "sides" }, reasons.map((reason) => side(reason, answer))),
    parts(item),
  );
}

function score(item) {
  const said = [];
  if (item.click !== null) said.push(make("span", { class: "click" }, percent(item.click)), " likely liked");
  if (item.rating !== null) said.push(make("span", { class: "stars" }, ` · ${item.rating.toFixed(2)} stars`));
  return said;
}

function side(reason, answer) {
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

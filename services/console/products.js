// One product over all consumers: what speaks for it and against it, and whom that meets.

import { ask } from "./api.js";
import { bar, evidence, fill, make, pair } from "./dom.js";
import { aged, aspect, counted, minute } from "./words.js";

export function product(main, tell, fail, id) {
  const place = make("section", { "aria-label": "Product" });
  fill(main, make("h1", {}, "Product"), place);
  tell("Asking …");
  ask(`/v1/products/${encodeURIComponent(id)}/insights`)
    .then((answer) => {
      fill(place, ...page(answer));
      tell(`${counted(answer.arguments.length, "argument")}.`);
    })
    .catch((problem) => fail(place, problem));
}

function page(answer) {
  const mean = answer.mean_rating === null ? "no ratings" : `${answer.mean_rating.toFixed(2)} stars over ${answer.ratings} ratings`;
  return [
    make("h2", {}, answer.title || answer.product_id, " ", make("span", { class: "id" }, answer.product_id)),
    make("dl", { class: "facts" }, pair("Rated", mean), pair("Release", answer.release_id), pair("Knows the world until", minute(answer.as_of))),
    make("div", { class: "sides product" }, side("for", "For", answer), side("against", "Against", answer)),
    tastes(answer.tastes),
  ].flat();
}

function side(stance, title, answer) {
  const found = answer.arguments.filter((it) => it.stance === stance);
  return make(
    "section",
    { class: found.length ? `side ${stance}` : `side ${stance} empty` },
    make("h3", {}, title),
    found.length ? found.map(argument) : make("p", { class: "text nothing" }, "Nothing known."),
  );
}

function argument(it) {
  return make(
    "div",
    { class: "argument" },
    make("p", { class: "text" }, it.text),
    make("p", { class: "how" }, aged(it.evidence_age_seconds)),
    evidence(it.facts),
  );
}

function tastes(found) {
  if (!found.length) return [];
  const most = Math.max(...found.map((it) => Math.max(it.attracted, it.repelled)), 1);
  const rows = found.map((it) =>
    make(
      "li",
      {},
      make("span", { class: "label" }, aspect(it.aspect)),
      make("span", {}, count(it.attracted, most, "drawn to it", 1), count(it.repelled, most, "put off by it", -1)),
    ),
  );
  return [make("h2", {}, "Whom its aspects meet"), make("ul", { class: "bars tastes" }, rows)];
}

function count(number, most, words, sign) {
  return bar((sign * number) / most, `${number} ${words}`);
}

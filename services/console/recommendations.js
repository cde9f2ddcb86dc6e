// A consumer's ranked products, and what changes their order.

import { Problem, ask, askTwice } from "./api.js";
import { sliders } from "./attributes.js";
import { fill, make, pair } from "./dom.js";
import { recommended } from "./recommended.js";
import { givesSteps, steps } from "./steps.js";
import { tastes } from "./tastes.js";
import { SECONDS, wording } from "./wording.js";
import { ago, counted, day, minute } from "./words.js";

const COUNTS = [5, 10, 20, 50];

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
  const spoken = wording((live) => rank({}, live));
  fill(results, about, levels, spoken.element, list);
  const wishes = { facets: [], new_facets: [], attributes: {} };
  let latest = 0;
  let stepwise = null;
  const rank = (change, live = false) => {
    Object.assign(wishes, change);
    const mine = ++latest; // an answer that was overtaken is not shown
    const { facets, new_facets } = wishes;
    const changed = facets.length + new_facets.length;
    const reasons = live ? { explanations: "live", seconds: SECONDS } : {};
    tell("Asking …");
    spoken.wait(live);
    askTwice("/v1/recommend", { consumer_id: consumer, k: count, contributions: true, ...wishes, ...reasons })
      .then((answer) => {
        if (mine !== latest) return;
        const products = answer.items.map(recommended);
        fill(about, told(answer, changed));
        fill(list, products);
        spoken.show(answer, live, changed);
        if (!levels.hasChildNodes() && (answer.attributes || []).length) {
          fill(levels, sliders(answer.attributes, (attributes) => rank({ attributes })));
        }
        tell(`${counted(answer.items.length, "product")} for ${consumer}.`);
        const pairs = answer.items.map(({ product_id }) => ({ consumer_id: consumer, product_id, facets, new_facets }));
        if (pairs.length) stepwise ??= givesSteps(pairs[0]);
        stepwise?.then((given) => given && products.forEach((element, n) => element.append(steps(pairs[n]))));
      })
      .catch((problem) => {
        if (mine !== latest) return;
        spoken.fail();
        fail(about, problem);
      });
  };
  rank({});
  tastes(profile, consumer, rank);
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
    : answer.degraded ? "last event not known now" : "nothing known of this consumer";
  return make(
    "div",
    {},
    answer.degraded ? make("p", { class: "note bad" }, make("strong", {}, "Less than usual: "), answer.cause || "something failed", ".") : null,
    changed ? make("p", { class: "note" }, make("strong", {}, "What if: "), `ranked with ${counted(changed, "taste")} other than stored.`) : null,
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

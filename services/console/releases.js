// What was released, how good it was found, what is live, and two of them side by side.

import { ask } from "./api.js";
import { fill, make } from "./dom.js";
import { counted, minute, plain } from "./words.js";

export function releases(main, tell, fail) {
  const place = make("section", { "aria-label": "Releases" });
  fill(main, make("h1", {}, "Releases"), place);
  tell("Asking …");
  ask("/v1/releases")
    .then((answer) => {
      fill(place, ...page(answer));
      tell(`${counted(answer.releases.length, "release")}.`);
    })
    .catch((problem) => fail(place, problem));
}

function page(answer) {
  const compared = make("div", { "aria-live": "polite" });
  const chosen = [];
  const choose = (release, box) => {
    if (box.checked) chosen.push({ release, box });
    else chosen.splice(chosen.findIndex((it) => it.box === box), 1);
    if (chosen.length > 2) chosen.shift().box.checked = false;
    fill(compared, chosen.length === 2 ? comparison(...chosen.map((it) => it.release)) : []);
  };
  return [
    answer.unreadable.length ? make("p", { class: "note bad" }, make("strong", {}, "Damaged: "), answer.unreadable.join(", ")) : [],
    make("p", { class: "note" }, "Choose two to compare. Figures are of the held-out part, with 95 % intervals over consumers."),
    make(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of releases" },
      make("table", {}, head(["Compare", "Release", "Method", "Knows until", "Words by", "Figures"]), make("tbody", {}, answer.releases.map((it) => row(it, choose)))),
    ),
    compared,
    make("h2", {}, "What was live when"),
    make("ol", { class: "moves" }, answer.moves.map((move) => make("li", {}, `${minute(move.at)}: ${move.action} `, make("code", {}, move.release_id)))),
  ].flat();
}

function head(names) {
  return make("thead", {}, make("tr", {}, names.map((name) => make("th", { scope: "col" }, name))));
}

function row(release, choose) {
  const box = make("input", { type: "checkbox", "aria-label": `Compare ${release.release_id}` });
  box.addEventListener("change", () => choose(release, box));
  return make(
    "tr",
    release.live ? { class: "live" } : {},
    make("td", {}, box),
    make("th", { scope: "row" }, make("code", {}, release.release_id), release.live ? make("span", { class: "badge" }, "live") : null),
    make("td", {}, release.method, release.model_of ? make("span", { class: "how block" }, `model of ${release.model_of}`) : null),
    make("td", { class: "when" }, minute(release.as_of)),
    make("td", {}, release.language_model),
    make("td", {}, make("ul", { class: "figures" }, release.metrics.map((it) => make("li", {}, `${plain(it.name)} `, figure(it))))),
  );
}

function figure(metric) {
  if (metric === undefined || metric.value === null) return "—";
  const interval = metric.low === null ? null : make("span", { class: "how" }, ` ${metric.low.toFixed(4)} to ${metric.high.toFixed(4)}`);
  return make("span", {}, make("strong", {}, metric.value.toFixed(4)), interval);
}

/** Two releases, the older one first; an interval of each is no interval of their difference, and none is claimed. */
function comparison(one, other) {
  const [before, after] = one.created_at < other.created_at ? [one, other] : [other, one];
  const of = (release) => new Map(release.metrics.map((it) => [it.name, it]));
  const [first, second] = [of(before), of(after)];
  const rows = [...new Set([...first.keys(), ...second.keys()])].map((name) => {
    const [left, right] = [first.get(name), second.get(name)];
    const both = left && right && left.value !== null && right.value !== null;
    const difference = both ? right.value - left.value : null;
    const text = both ? `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(4)}` : "—";
    return make("tr", {}, make("th", { scope: "row" }, plain(name)), make("td", {}, figure(left)), make("td", {}, figure(right)), make("td", {}, text));
  });
  return make(
    "section",
    { class: "compared" },
    make("h2", {}, "Side by side"),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" }, make("table", {}, head(["Figure", before.release_id, after.release_id, "Difference"]), make("tbody", {}, rows))),
    make("p", { class: "how" }, "The difference is of the two figures as recorded. If the releases were tested on other rows, it says little; the gate compares on the same ones."),
  );
}

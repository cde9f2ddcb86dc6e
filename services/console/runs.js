// What the last run of each stage did, and what the language model was asked and cost.

import { ask } from "./api.js";
import { bar, fill, make, pair } from "./dom.js";
import { counted, minute, percent } from "./words.js";

const many = (number) => number.toLocaleString("en");

export function runs(main, tell, fail) {
  const place = make("section", { "aria-label": "Runs" });
  fill(main, make("h1", {}, "Runs"), place);
  tell("Asking …");
  ask("/v1/status")
    .then((answer) => {
      fill(place, ...page(answer));
      tell(`${counted(answer.stages.length, "stage")}.`);
    })
    .catch((problem) => fail(place, problem));
}

function page(answer) {
  const most = Math.max(...answer.stages.map((it) => it.seconds), 1);
  const head = make("thead", {}, make("tr", {}, ["Stage", "Finished", "Seconds", "Peak memory", "Last run"].map((name) => make("th", { scope: "col" }, name))));
  const rows = answer.stages.map((it) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, it.stage),
      make("td", { class: "when" }, minute(it.finished_at)),
      make("td", {}, bar(it.seconds / most, it.seconds.toFixed(1))),
      make("td", {}, `${many(Math.round(it.peak_memory_mb))} MB`),
      make("td", {}, it.found_done ? "found it done" : "did it"),
    ),
  );
  return [
    make("p", { class: "note" }, answer.live_release ? `Live: ${answer.live_release}` : "Nothing is live."),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Stages" }, make("table", {}, head, make("tbody", {}, rows))),
    make("h2", {}, "Language model"),
    ledger(answer.ledger),
    failures(answer.ledger.failures),
  ].flat();
}

function ledger(it) {
  const kinds = Object.entries(it.by_kind).map(([kind, count]) => `${many(count)} ${kind}`);
  return make(
    "dl",
    { class: "facts" },
    pair("Asked", `${many(it.asked)} requests of all runs`),
    pair("Already known", `${percent(it.hit_rate)} (${many(it.from_ledger)})`),
    pair("Bought", `${many(it.answers)} answers${kinds.length ? `: ${kinds.join(", ")}` : ""}`),
    pair("Usable", many(it.usable)),
    pair("Tokens", `${many(it.prompt_tokens)} read, ${many(it.completion_tokens)} written`),
    pair("Model time", `${many(Math.round(it.seconds))} s`),
    it.spend === null ? [] : pair("Spend", it.spend.toFixed(2)),
  );
}

function failures(found) {
  if (!found.length) return [];
  return [make("h2", {}, "Bought and not usable"), make("ul", {}, found.map((it) => make("li", {}, `${many(it.answers)} × ${it.finish}: ${it.cause || "not said"}`)))];
}

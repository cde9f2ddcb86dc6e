// A recommendation in four steps, on the weights that acted in the ranking; asked for when it is unfolded.

import { Problem, ask } from "./api.js";
import { bar, fill, make, problemNote } from "./dom.js";
import { percent } from "./words.js";

/** Whether the release gives steps for a pair: it does where its method weighs what attracts the consumer. */
export function givesSteps(request) {
  return ask("/v1/explain", request)
    .then((answer) => Boolean(answer.steps))
    .catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
      return false;
    });
}

/** The folded steps of one pair. */
export function steps(request) {
  const place = make("div", { "aria-live": "polite" });
  const box = make("details", { class: "steps" }, make("summary", {}, "Step by step"), place);
  let asked = false;
  box.addEventListener("toggle", () => {
    if (!box.open || asked) return;
    asked = true;
    fill(place, make("p", { class: "how" }, "Asking …"));
    ask("/v1/explain", request)
      .then((answer) => fill(place, answer.steps ? four(answer.steps) : make("p", { class: "text nothing" }, "Nothing known attracts this consumer.")))
      .catch((problem) => {
        if (!(problem instanceof Problem)) throw problem;
        asked = false; // unfolded again, it asks again
        fill(place, problemNote(problem));
      });
  });
  return box;
}

function four(it) {
  const weighed = it.preferences.map((one) => line(one.text, one.weight, one.example));
  const met = it.preferences.map((one) => line(one.text, one.fitness, one.reason));
  return [
    make(
      "ol",
      { class: "four" },
      step("What counts for this consumer", make("ul", { class: "bars" }, weighed)),
      step("How well this product meets it", make("ul", { class: "bars" }, met)),
      step("Both together", make("p", {}, make("span", { class: "badge" }, it.chance), ` ${it.combined}`)),
      step("Recommendation", make("p", {}, it.recommendation)),
    ),
    make("p", { class: "how" }, `Worded by ${it.model}`),
  ];
}

function step(title, content) {
  return make("li", {}, make("h3", {}, title), content);
}

function line(name, share, words) {
  return make("li", {}, make("span", { class: "label" }, name, make("span", { class: "how block" }, words)), bar(share, percent(share)));
}

// Having the reasons of a whole list worded now by the language model, and going back to those of the release.

import { make } from "./dom.js";

/** How long the model may take; the service allows no more. */
export const SECONDS = 8;

/** The buttons and what came of them; `rank` is told whether the reasons are to be worded now. */
export function wording(rank) {
  const word = make("button", { type: "button", class: "plain word" });
  const back = make("button", { type: "button", class: "plain back" }, "Back to the release's reasons");
  const said = make("span", { class: "how", role: "status" });
  const element = make("p", { class: "wording", hidden: true }, word, back, said);
  const set = (live, words) => {
    word.textContent = live ? "Ask again" : "Word the reasons now";
    back.hidden = !live;
    said.textContent = words;
  };
  word.addEventListener("click", () => rank(true));
  back.addEventListener("click", () => {
    word.focus(); // the button that was pressed goes away
    rank(false);
  });
  return {
    element,
    wait: (live) => {
      if (live) said.textContent = `Asking the language model, for at most ${SECONDS} seconds …`;
    },
    show: (answer, live, changed) => {
      element.hidden = !answer.items.length;
      word.disabled = changed > 0;
      set(live, live ? outcome(answer.items) : changed ? "The language model knows the stored tastes alone." : "");
    },
    fail: () => set(false, ""),
  };
}

function outcome(items) {
  const now = items.filter((item) => !item.reasons_note).length;
  return now === items.length ? "All are worded now." : `Worded now: ${now} of ${items.length}. Each of the others says why not.`;
}

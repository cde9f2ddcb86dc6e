// Having the reasons of a whole list worded now by the language model, and going back to those of the release.

import { make } from "./dom.js";

/** How long the model may take; the service allows no more. */
export const SECONDS = 8;

/** The button and what came of it; `rank` is told whether the reasons are to be worded now. */
export function wording(rank) {
  const button = make("button", { type: "button", class: "plain word" });
  const said = make("span", { class: "how", role: "status" });
  const element = make("p", { class: "wording", hidden: true }, button, said);
  let spoken = false;
  const set = (live, words) => {
    spoken = live;
    button.textContent = live ? "Back to the release's reasons" : "Word the reasons now";
    said.textContent = words;
  };
  button.addEventListener("click", () => rank(!spoken));
  return {
    element,
    wait: (live) => {
      if (live) said.textContent = `Asking the language model, for at most ${SECONDS} seconds …`;
    },
    show: (answer, live, changed) => {
      element.hidden = !answer.items.length;
      button.disabled = changed > 0;
      set(live, live ? outcome(answer.items) : changed ? "The language model knows the stored tastes alone." : "");
    },
    fail: () => set(false, ""),
  };
}

function outcome(items) {
  const now = items.filter((item) => !item.reasons_note).length;
  if (now === items.length) return "All of them are worded now.";
  return `${now} of ${items.length} are worded now; at the others stands why not.`;
}

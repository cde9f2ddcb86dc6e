// Which page is shown: the part of the address after #.

import { useKey } from "./api.js";
import { fill, problemNote } from "./dom.js";
import { product } from "./products.js";
import { recommendations } from "./recommendations.js";
import { releases } from "./releases.js";
import { runs } from "./runs.js";

const main = document.getElementById("main");
const status = document.getElementById("status");
const key = document.getElementById("key");
const PAGES = { releases, runs };

function tell(text) {
  status.textContent = text;
}

function fail(place, problem) {
  tell(""); // the note says it, and is read aloud as an alert
  fill(place, problemNote(problem));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show() {
  const [, name, id = "", count = ""] = location.hash.split("/");
  const page = name in PAGES ? name : "recommendations";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.page === page;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tell("");
  if (page in PAGES) PAGES[page](main, tell, fail);
  else if (name === "product") product(main, tell, fail, decoded(id));
  else recommendations(main, tell, fail, name === "consumer" ? decoded(id) : "", Number(count) || 10);
}

key.addEventListener("change", () => {
  useKey(key.value);
  show();
});
document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(key.value);
  show();
});
window.addEventListener("hashchange", show);
show();

// Making elements. Text only ever arrives as text: nothing here, or on this page, parses HTML.

import { day, plain } from "./words.js";

/** An element with attributes and children; a child that is a string becomes a text node. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A bar of a signed share, -1 to 1, with its number beside it for those who do not see it. */
export function bar(share, text) {
  const fill = make("span", { class: share < 0 ? "fill less" : "fill" });
  fill.style.width = `${Math.min(100, Math.abs(share) * 100)}%`;
  return make("span", { class: "bar" }, make("span", { class: "track", "aria-hidden": "true" }, fill), make("span", { class: "number" }, text));
}

/** Puts children in place of all that an element held. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat());
}

/** A name and a value of a list of facts. */
export function pair(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

/** The facts behind a text, to be unfolded; nothing where there are none. */
export function evidence(facts) {
  if (!facts.length) return null;
  const items = facts.map((fact) => {
    const time = fact.evidence_time ? day(fact.evidence_time) : "catalog";
    return make("li", {}, make("span", {}, fact.text), make("span", { class: "source" }, ` ${plain(fact.source)}, ${time}`));
  });
  return make("details", {}, make("summary", {}, `Evidence (${facts.length})`), make("ul", { class: "evidence" }, items));
}

/** What went wrong: what was found, what was expected, what to do. */
export function problemNote(problem) {
  const words = [problem.expected, problem.remedy].filter(Boolean).join(" ");
  const id = problem.requestId ? make("p", { class: "how" }, `Request ${problem.requestId}`) : [];
  return make("div", { class: "note bad", role: "alert" }, make("p", {}, make("strong", {}, problem.message), ` ${words}`), id);
}

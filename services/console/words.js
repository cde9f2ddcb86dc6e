// Numbers and times in words.

const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

/** "3 days ago", from an ISO time and the time it is compared with. */
export function ago(time, now) {
  return since((new Date(now) - new Date(time)) / 1000);
}

/** "3 days ago", from seconds. */
export function since(seconds) {
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) || ["second", 1];
  return relative.format(-Math.round(seconds / length), unit);
}

/** Of evidence: how long ago, or that only the catalog says so. */
export function aged(seconds) {
  return seconds === null ? "from the catalog" : `evidence ${since(seconds)}`;
}

/** "2024-05-01" */
export function day(time) {
  return new Date(time).toISOString().slice(0, 10);
}

/** "2024-05-01 12:30 UTC" */
export function minute(time) {
  return `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function percent(share) {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** "wireless range (in reviews)" from `term=wireless range`, "vocal clarity (feature)" from `feature=vocal clarity`. */
export function aspect(key) {
  const [name, ...value] = key.split("=");
  return value.length ? `${value.join("=")} (${name === "term" ? "in reviews" : plain(name)})` : plain(key);
}

/** "1 release", "2 releases" */
export function counted(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

export function plain(name) {
  return name.replaceAll("_", " ");
}

// Asking the service that this page came from. The key stays in memory and is gone with the page.

const PATIENCE_MS = 30000;
const TOO_LATE = 504;
let key = "";

export function useKey(given) {
  key = given.trim();
}

/** What the service says is wrong: a problem (RFC 9457), or that it cannot be reached. */
export class Problem extends Error {
  constructor(members) {
    super(members.detail || members.title || "The service did not say what is wrong.");
    this.status = members.status || 0;
    this.expected = members.expected || "";
    this.remedy = members.remedy || "";
    this.requestId = members.request_id || "";
  }
}

export async function ask(path, body) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const request = { headers, credentials: "omit", signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body) Object.assign(request, { method: "POST", body: JSON.stringify(body) });
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Problem({ detail: "The service cannot be reached.", remedy: "Is it still running?" });
  }
  const content = await answer.json().catch(() => ({ detail: `The service answered ${answer.status}.` }));
  if (!answer.ok) throw new Problem(content);
  return content;
}

/** As `ask`, and once more where the service was too late: what it had to read for the first time, it then has. */
export async function askTwice(path, body) {
  try {
    return await ask(path, body);
  } catch (problem) {
    if (problem.status !== TOO_LATE) throw problem;
    return ask(path, body);
  }
}

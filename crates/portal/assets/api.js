// Calls to the API with the person's own session. The session's token is in a cookie that no script can read.

/** A refusal, with the problem that the API told. */
export class Refused extends Error {
  constructor(problem) {
    super([problem.detail ?? problem.title, problem.advice].filter(Boolean).join(" "));
    this.code = problem.code;
    this.status = problem.status;
  }
}

const OFFLINE = { code: "offline", status: 0, detail: "The server does not answer.", advice: "Check the connection and try again." };

/** Sends a request; gives the answer's body, or null. */
export async function call(method, path, body, headers) {
  const request = { method, headers: { accept: "application/json", ...headers }, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    request.headers["content-type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Refused(OFFLINE);
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (!response.ok) {
    throw new Refused(value ?? { status: response.status, title: "The request failed.", advice: "Try again." });
  }
  return value;
}

export const post = (path, body) => call("POST", path, body);
export const get = (path) => call("GET", path);

/** The pages of a list, one after the other: of a path that may have a query already. */
export async function* pages(path) {
  let next = null;
  do {
    const answer = await get(next ? `${path}${path.includes("?") ? "&" : "?"}after=${next}` : path);
    yield answer;
    next = answer.next;
  } while (next);
}

/** Asks without counting as use of the session. */
export const glance = (path) => call("GET", path, undefined, { "carekeep-activity": "background" });

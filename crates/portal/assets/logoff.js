// Signing out on time: what a page shows does not outlive the session that it was shown in (45 CFR 164.312(a)(2)(iii)), and
// people are told before (WCAG 2.2, 2.2.1).

import { get, glance } from "./api.js";
import { at, onClick } from "./page.js";

/** Where the sign-in page is told why. */
export const AWAY = "#away";

const MINUTE = 60_000;
let timer;
let ends = Infinity;
let asked = 0;

function leave() {
  document.body.replaceChildren();
  location.replace(`/sign-in${AWAY}`);
}

/** Looks again after the time, and not before: of several looks the last one counts. */
function lookIn(time) {
  clearTimeout(timer);
  timer = setTimeout(look, time);
}

function plan({ signed_out_in: seconds }) {
  const left = seconds * 1000;
  ends = Date.now() + left;
  at("away").hidden = left > MINUTE;
  // At least once a minute: a session may end from elsewhere, or be used in another tab.
  lookIn(left > MINUTE ? Math.min(left - MINUTE + 1000, MINUTE) : left + 1000);
}

/** Asks how long the session lasts. Of several questions under way only the last one's answer counts. */
async function ask(how) {
  asked += 1;
  const mine = asked;
  let me = null;
  try {
    me = await how("/api/v1/me");
  } catch (error) {
    // Whoever cannot ask knows when the session was to end.
    if (error.status === 401 || Date.now() >= ends) return leave();
  }
  if (mine === asked) me ? plan(me) : lookIn(MINUTE);
}

const look = () => ask(glance);

/** Watches the session for as long as the page is open, without counting as use of it. */
export function watchSession() {
  onClick("stay", () => ask(get));
  // A machine that slept missed its timers.
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
}

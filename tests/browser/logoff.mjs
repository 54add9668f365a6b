// A page that nobody uses warns, and is empty before anybody else can read it. Usage: node logoff.mjs BASE ARTEFACTS
//
// The first line of standard input is a session's token. The server's clock stands still: `advance SECONDS` on standard
// output asks whoever started this to move it; a line on standard input says that it was.
// CAREKEEP_NODE_MODULES: where playwright-core is. CAREKEEP_CHROMIUM: the browser, default /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

const [base, artefacts] = process.argv.slice(2);
const require = createRequire(join(process.env.CAREKEEP_NODE_MODULES, "x.js"));
const { chromium } = require("playwright-core");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const token = (await lines.next()).value;

/** Lets time pass for the server. */
async function pass(seconds) {
  console.log(`advance ${seconds}`);
  await lines.next();
}

/** What each look of the page at its session was, and how many requests have no answer yet. */
const looks = [];
let open = 0;

/** Lets time pass for the page until something holds and every request is answered. Its timers are set when answers come: what was
 * passed over before counts for nothing. In steps shorter than any timer, so that it does not look once more unseen. */
async function until(page, holds) {
  for (let tries = 0; open > 0 || !(await holds()); tries += 1) {
    assert.ok(tries < 500, `in vain: ${holds}`);
    if (open === 0) await page.clock.fastForward(20_000);
    await wait(20);
  }
}

mkdirSync(artefacts, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CAREKEEP_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
try {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 390, height: 844 } });
  await context.addCookies([{ name: "__Host-carekeep", value: token, url: base, secure: true, httpOnly: true }]);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("request", () => { open += 1; });
  page.on("requestfailed", () => { open -= 1; });
  page.on("requestfinished", (request) => {
    open -= 1;
    if (request.url().endsWith("/api/v1/me")) looks.push(request.headers()["carekeep-activity"]);
  });
  await page.clock.install();
  await page.goto(base);
  await page.locator("#sessions li", { hasText: "This session." }).waitFor();
  const warning = page.getByRole("alert").filter({ hasText: "signed out within a minute" });
  const warned = () => warning.isVisible();

  await until(page, () => looks.includes("background"));
  looks.length = 0;
  // A quarter of an hour without use, of which the page looks on every minute.
  for (let minute = 1; minute < 14; minute += 1) {
    await pass(60);
    const before = looks.length;
    await until(page, () => looks.length > before);
    assert.equal(await warned(), false, `warned after ${minute} minutes`);
  }
  await pass(65);
  await until(page, warned);
  assert.ok(looks.every((activity) => activity === "background"), "the page used the session by itself");
  await page.screenshot({ path: join(artefacts, "away-phone.png") });
  await page.getByRole("button", { name: "Stay signed in" }).click();
  await warning.waitFor({ state: "hidden" });

  await pass(14 * 60 + 5);
  await until(page, warned);
  await pass(60);
  await until(page, () => page.url() === `${base}/sign-in#away`);
  await page.getByText("You were signed out because nothing was done").waitFor();
  await page.screenshot({ path: join(artefacts, "was-away-phone.png") });
  console.log("logoff: ok");
} finally {
  await browser.close();
}
process.exit(0);

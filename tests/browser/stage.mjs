// A browser for a run: fresh profiles with an authenticator of their own, pictures in both sizes, and an end that says how it went.
//
// CAREKEEP_NODE_MODULES: where playwright-core is. CAREKEEP_CHROMIUM: the browser, default /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { SIZES, check } from "./shared.mjs";

const modules = process.env.CAREKEEP_NODE_MODULES;
const require = createRequire(modules ? join(modules, "x.js") : import.meta.url);
const { chromium } = require("playwright-core");

/** What a passkey is made on: `platform`, or a key that is carried about. */
export const authenticator = (cdp, transport = "internal") => cdp.send("WebAuthn.addVirtualAuthenticator", {
  options: {
    protocol: "ctap2",
    transport,
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  },
});

/** Plays `play({ visitor, picture })`; says `<name>: ok` if nothing failed, in no script and no policy of a page either. */
export async function perform(name, artefacts, play) {
  mkdirSync(artefacts, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CAREKEEP_CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const faults = [];
  let latest = null;

  /** A fresh browser profile with an authenticator of its own. */
  async function visitor() {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: SIZES.desk });
    const page = await context.newPage();
    latest = page;
    page.setDefaultTimeout(30_000);
    page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" && /content security|trusted/i.test(text)) faults.push(`policy: ${text}`);
    });
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const { authenticatorId } = await authenticator(cdp);
    return { context, page, cdp, authenticatorId };
  }

  /** A page as it is on a phone and on a desk, looked at by rule. */
  async function picture(page, title) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      await check(page, `${title} (${size})`);
      await page.screenshot({ path: join(artefacts, `${title}-${size}.png`), fullPage: true });
    }
  }

  try {
    await play({ visitor, picture });
    assert.deepEqual(faults, []);
    console.log(`${name}: ok`);
  } catch (error) {
    console.error(`${name}: FAILED: ${error.stack ?? error}`);
    if (latest) {
      console.error(`at ${latest.url()}: ${await latest.locator("main").innerText().catch(() => "")}`);
      await latest.screenshot({ path: join(artefacts, `${name}-failed.png`), fullPage: true }).catch(() => {});
    }
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

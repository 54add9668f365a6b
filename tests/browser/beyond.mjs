// Somebody who looks after clinics: joins with a passkey that is bound to a device, sees which clinics there are, signs in again.
// Usage: node beyond.mjs WORLD_JSON ARTEFACTS; see stage.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { perform } from "./stage.mjs";

const [worldPath, artefacts] = process.argv.slice(2);
const world = JSON.parse(readFileSync(worldPath, "utf8"));

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** In the place of the browser's own authenticator one whose passkeys its keeper can copy. */
async function synchronised(cdp, authenticatorId) {
  await cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  const options = {
    protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true, defaultBackupEligibility: true, defaultBackupState: true,
  };
  return (await cdp.send("WebAuthn.addVirtualAuthenticator", { options })).authenticatorId;
}

async function bound(cdp, authenticatorId) {
  await cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  const options = {
    protocol: "ctap2", transport: "usb", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
}

/** The role is given when somebody else has agreed: the page is looked at until then. */
async function clinics(page) {
  for (let tries = 0; tries < 100; tries += 1) {
    await page.goto(`${world.base}/clinics`);
    const listed = page.locator("#clinics li").first().waitFor({ timeout: 1_000 });
    if (await listed.then(() => true, () => false)) return page.locator("#clinics li").allInnerTexts();
  }
  throw new Error("there are no clinics");
}

await perform("beyond", artefacts, async ({ visitor, picture }) => {
  const { page, cdp, authenticatorId } = await visitor();
  const copied = await synchronised(cdp, authenticatorId);
  await page.goto(world.link);
  await press(page, "Begin");
  await page.getByRole("heading", { name: "Set up a passkey" }).waitFor();
  await page.locator("#passkey-form button[type=submit]").click();
  await page.getByRole("alert").filter({ hasText: "device" }).waitFor();
  await picture(page, "beyond-join");
  await bound(cdp, copied);
  await page.locator("#passkey-form button[type=submit]").click();
  await page.waitForURL(`${world.base}/`);
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();

  const texts = await clinics(page);
  assert.deepEqual(texts.map((text) => text.split(":")[0]).sort(), world.clinics);
  await picture(page, "beyond-clinics");
  await page.goto(`${world.base}/`);
  await page.locator("#sessions li", { hasText: "This session." }).waitFor();
  assert.equal(await page.getByRole("alert").innerText(), "", "nothing is asked for that is not there");
  await page.getByRole("link", { name: "Clinics" }).waitFor();
  await picture(page, "beyond-home");

  await press(page, "Sign out");
  await page.waitForURL(`${world.base}/sign-in`);
  assert.equal(await page.locator("input:visible").count(), 0, "there is no password to type");
  await picture(page, "beyond-sign-in");
  await press(page, "Use a passkey");
  await page.waitForURL(`${world.base}/`);
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();
  for (const path of ["/apps", "/consent", "/settings"]) {
    assert.equal((await page.goto(`${world.base}${path}`)).status(), 404, path);
  }
});
process.exit();

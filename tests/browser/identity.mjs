// Everything that people do about their own ways in, at a server whose clock stands still: passkeys added, used and removed, an act
// confirmed in its middle, recovery codes, other sessions ended; and what administrators do about people and settings.
// Usage: node identity.mjs CLINIC_JSON ARTEFACTS; see stage.mjs and clock.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { nextCode, pass } from "./clock.mjs";
import { authenticator, perform } from "./stage.mjs";

const [clinicPath, artefacts] = process.argv.slice(2);
const clinic = JSON.parse(readFileSync(clinicPath, "utf8"));

const done = (page, text) => page.getByRole("status").filter({ hasText: text }).waitFor();
const refused = (page, text) => page.getByRole("alert").filter({ hasText: text }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

async function welcomed(page) {
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();
  await page.locator("#sessions li", { hasText: "This session." }).waitFor();
}

async function password(page, person) {
  await page.goto(`${clinic.base}/sign-in`);
  await page.locator("#login").fill(person.login);
  await page.locator("#password").fill(person.password);
  await page.keyboard.press("Enter");
  await page.locator("#second").waitFor();
}

async function signIn(page, person) {
  await password(page, person);
  await page.locator("#code").fill(await nextCode(person));
  await page.keyboard.press("Enter");
  await welcomed(page);
}

async function addPasskey(page, name) {
  await page.locator("#passkey-name").fill(name);
  await press(page, "Add a passkey");
}

/** The act waits until it is confirmed, and is then done without being asked for again. */
async function confirmInTheMiddle(page, person, act) {
  await pass(5 * 60);
  await act();
  await page.getByRole("heading", { name: "Confirm that it is you" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "confirm-code", "the code can be typed at once");
  await page.locator("#confirm-code").fill("000000");
  await press(page, "Confirm");
  await refused(page, "not right");
  await page.locator("#confirm-code").fill(await nextCode(person));
  await press(page, "Confirm");
}

async function passkeys({ visitor, picture }) {
  const { page, cdp } = await visitor();
  await signIn(page, clinic.doctor);
  await addPasskey(page, "Laptop");
  await done(page, "is registered");
  // The first authenticator has one for this account: it says so, and another one takes a second.
  await addPasskey(page, "Laptop again");
  await refused(page, "has a passkey for this account already");
  await authenticator(cdp, "usb");
  await addPasskey(page, "Key on the ring");
  await done(page, "is registered");
  assert.equal(await page.locator("#passkeys li").count(), 2);
  await picture(page, "passkeys-two");

  await press(page, "Sign out");
  await page.waitForURL(`${clinic.base}/sign-in`);
  await press(page, "Use a passkey");
  await page.waitForURL(`${clinic.base}/`);
  await welcomed(page);
  assert.equal(await page.locator("#login").innerText(), clinic.doctor.login, "nobody typed a login name");

  await confirmInTheMiddle(page, clinic.doctor, () => press(page, "Remove the passkey Key on the ring"));
  await done(page, "is removed");
  assert.equal(await page.locator("#passkeys li").count(), 1);
  await picture(page, "passkey-removed");
  console.log("two passkeys, signed in by one without a login name, one removed after a confirmation in the middle");
}

async function recoveryCode({ visitor, picture }) {
  const { page } = await visitor();
  await signIn(page, clinic.doctor);
  await press(page, "Make new recovery codes");
  await done(page, "Keep the new recovery codes");
  const [code] = await page.locator("#codes li").allTextContents();
  await press(page, "Sign out");

  const { page: other } = await visitor();
  await password(other, clinic.doctor);
  await other.locator("#recovery summary").click();
  await other.locator("#recovery-code").fill(code);
  await picture(other, "sign-in-recovery-code");
  await press(other, "Sign in with the recovery code");
  await other.locator("#reenrol").waitFor();
  await picture(other, "after-recovery-code");
  await addPasskey(other, "New phone");
  await done(other, "is registered");
  assert.ok(await other.locator("#reenrol").isHidden(), "there is a second factor again");

  const { page: again } = await visitor();
  await password(again, clinic.doctor);
  await again.locator("#recovery summary").click();
  await again.locator("#recovery-code").fill(code);
  await press(again, "Sign in with the recovery code");
  await refused(again, "not right");
  console.log("a recovery code let in once, and led to a new passkey");
}

async function everywhere({ visitor }) {
  const { page } = await visitor();
  await signIn(page, clinic.doctor);
  const { page: elsewhere } = await visitor();
  await signIn(elsewhere, clinic.doctor);
  await press(elsewhere, "End all other sessions");
  await done(elsewhere, "All other sessions have ended");
  assert.equal(await elsewhere.locator("#sessions li").count(), 1);
  await page.goto(`${clinic.base}/`);
  await page.waitForURL(`${clinic.base}/sign-in`);
  console.log("ended all other sessions");
}

/** The list's entry of somebody, opened. */
async function open(page, name) {
  const item = page.locator("#people li", { hasText: name });
  await item.waitFor();
  if (!(await item.locator("details").getAttribute("open").then((open) => open !== null))) await item.locator("summary").click();
  return item;
}

async function people({ visitor, picture }) {
  const { page } = await visitor();
  await signIn(page, clinic.admin);
  await page.getByRole("link", { name: "People" }).click();
  await page.getByRole("heading", { level: 1, name: "People of the organisation" }).waitFor();

  await page.locator("#invite-name").fill("Nora Costa");
  await page.locator("#invite-login").fill("nora.costa");
  await press(page, "Make the invitation");
  await refused(page, "one role at least");
  await page.getByLabel(/^Nurse:/).check();
  await press(page, "Make the invitation");
  await done(page, "Nora Costa is invited");
  const link = await page.locator("#hand-secret").innerText();
  assert.ok(link.startsWith(`${clinic.base}/join#`), link);
  await page.locator("#people summary", { hasText: "Nora Costa (nora.costa): has not joined yet" }).waitFor();
  await picture(page, "people-invited");

  const nora = await open(page, "Nora Costa");
  await nora.getByRole("button", { name: "Invite again" }).click();
  assert.equal(await page.locator("#invite-login").inputValue(), "nora.costa");
  await page.getByLabel(/^Reception:/).check();
  await press(page, "Make the invitation");
  await done(page, "Nora Costa is invited");
  assert.notEqual(await page.locator("#hand-secret").innerText(), link, "the earlier link is replaced");
  await nora.getByRole("button", { name: "Let go" }).click();
  await picture(page, "people-sure");
  await press(page, "Cancel");
  await page.locator("#people summary", { hasText: "has not joined yet" }).waitFor();
  await nora.getByRole("button", { name: "Let go" }).click();
  await page.locator("#sure-yes").click();
  await done(page, "Nora Costa has left");

  const doctor = await open(page, clinic.doctor.login);
  await doctor.getByRole("combobox").selectOption("reception");
  await confirmInTheMiddle(page, clinic.admin, () => doctor.getByRole("button", { name: "Give this role" }).click());
  await done(page, "has the role now");
  await doctor.locator("summary", { hasText: "Clinician, Reception" }).waitFor();
  await doctor.getByRole("button", { name: "Take: Reception" }).click();
  await doctor.locator("summary", { hasText: /: Clinician$/ }).waitFor();
  await doctor.getByRole("button", { name: "Suspend" }).click();
  await done(page, "is suspended");
  await picture(page, "people");
  await doctor.getByRole("button", { name: "End the suspension" }).click();
  await done(page, "done");
  await doctor.getByRole("combobox").selectOption("privacy_officer");
  await doctor.getByRole("button", { name: "Give this role" }).click();
  await done(page, "somebody else has to agree");

  const { page: second } = await visitor();
  await signIn(second, clinic.second);
  await second.getByRole("link", { name: "People" }).click();
  await second.locator("#requests li", { hasText: "Privacy officer" }).waitFor();
  await picture(second, "people-decisions");
  await second.locator("#requests").getByRole("button", { name: "Agree" }).click();
  await second.locator("#people summary", { hasText: "Clinician, Privacy officer" }).waitFor();
  await second.locator("#no-decisions").waitFor();
  console.log("invited, invited again, let go, roles given and taken, suspended, two decided");
}

/** One administrator begins to recover an account, another one agrees; each hands over a half. */
async function twoHalves({ visitor, picture }) {
  const halves = [];
  for (const [admin, act] of [[clinic.admin, "Recover the account"], [clinic.second, "Agree"]]) {
    const { page } = await visitor();
    await signIn(page, admin);
    await page.getByRole("link", { name: "People" }).click();
    const place = act === "Agree" ? page.locator("#recoveries") : await open(page, clinic.doctor.login);
    await place.getByRole("button", { name: act }).click();
    await page.locator("#hand-secret", { hasText: /\S{8}/ }).waitFor();
    halves.push(await page.locator("#hand-secret").innerText());
    if (act === "Agree") await picture(page, "people-recovery");
  }
  return halves;
}

/** Somebody lost everything: what both hand over opens after the hold, and everything is set up anew. */
async function recovery(stage) {
  const { visitor, picture } = stage;
  const [code, link] = await twoHalves(stage);
  assert.ok(link.startsWith(`${clinic.base}/recover#`), link);
  const { page } = await visitor();
  const use = async () => {
    await page.goto("about:blank");
    await page.goto(link);
    await page.locator("#recovery-code").fill(code);
    await press(page, "Go on");
  };
  await use();
  await refused(page, "not open");
  await pass(48 * 60 * 60);
  await use();
  await page.waitForURL(`${clinic.base}/join`);
  await press(page, "Continue");
  const known = "lantern meadow cobalt";
  await page.locator("#password").fill(known);
  await press(page, "Set the password");
  await page.locator("#totp-step").waitFor();
  await picture(page, "recover-totp");
  const anew = { ...clinic.doctor, password: known };
  anew.totp_secret = (await page.locator("#secret").textContent()).replaceAll(" ", "");
  await page.locator("#code").fill(await nextCode(anew));
  await press(page, "Confirm");
  await page.locator("#codes-step").waitFor();
  await press(page, "I have kept them");
  await page.getByRole("link", { name: "Not now, continue" }).click();
  await welcomed(page);
  assert.equal(await page.locator("#passkeys li").count(), 0, "what was there before is gone");
  await press(page, "Sign out");
  await page.waitForURL(`${clinic.base}/sign-in`);
  await page.locator("#login").fill(clinic.doctor.login);
  await page.locator("#password").fill(clinic.doctor.password);
  await page.keyboard.press("Enter");
  await refused(page, "not right");
  await signIn(page, anew);
  console.log("recovered by two administrators after the hold");
}

async function settings({ visitor, picture }) {
  const { page } = await visitor();
  await signIn(page, clinic.admin);
  await page.getByRole("link", { name: "Ways to sign in" }).click();
  await page.getByLabel("Clinician").selectOption("device-bound");
  await page.getByLabel(/^Hours/).fill("48");
  await press(page, "Decide it");
  await done(page, "It is decided");
  await page.reload();
  await page.locator("#no-makers").waitFor();
  assert.equal(await page.getByLabel("Clinician").inputValue(), "device-bound");
  assert.equal(await page.getByLabel(/^Hours/).inputValue(), "48");
  await page.getByText("Add a maker").click();
  await page.locator("#maker-root").fill("no certificate");
  await page.locator("#maker-models").fill("00000000-0000-0000-0000-000000000001");
  await press(page, "Add it to the list");
  await press(page, "Decide it");
  await refused(page, "certificate");
  await press(page, "Take out the maker of 00000000-0000-0000-0000-000000000001");
  await page.getByLabel("Clinician").selectOption("any");
  await press(page, "Decide it");
  await done(page, "It is decided");
  await page.locator("#token-name").fill("Entra ID");
  await press(page, "Make a token");
  await page.locator("#token-text", { hasText: /^ckp_\S{40}/ }).waitFor();
  await page.locator("#tokens li", { hasText: "Entra ID: not used yet" }).waitFor();
  await picture(page, "settings");
  await press(page, "Revoke the token Entra ID");
  await page.locator("#no-tokens").waitFor();
  console.log("decided about the ways in, and about an identity provider");
}

/** The same pages in the name and the colour of two tenants. */
async function brands({ visitor, picture }) {
  const seen = [];
  for (const [title, base] of [["brand-one", clinic.base], ["brand-other", clinic.other]]) {
    const { page } = await visitor();
    await page.goto(`${base}/sign-in`);
    const colour = await page.locator("header").evaluate((header) => getComputedStyle(header).backgroundColor);
    seen.push([await page.locator("header").innerText(), colour]);
    await picture(page, title);
  }
  assert.deepEqual(seen, clinic.brands);
  console.log("two brands");
}

await perform("identity", artefacts, async (stage) => {
  await brands(stage);
  await passkeys(stage);
  await recoveryCode(stage);
  await everywhere(stage);
  await people(stage);
  await settings(stage);
  await recovery(stage);
});
process.exit();

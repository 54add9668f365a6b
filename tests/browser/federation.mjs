// The organisation's own sign-in service in a browser: setting it, linking, signing in by it, a second factor here, and what is said when it does not work.
//
//   node federation.mjs <what it is to know> <folder for pictures>

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { nextStep, totp } from "./shared.mjs";
import { perform } from "./stage.mjs";

const [path, artefacts] = process.argv.slice(2);
const { base, issuer, client, admin, nurse, officer } = JSON.parse(readFileSync(path, "utf8"));

await perform("federation", artefacts, async ({ visitor, picture }) => {
  const tell = async (context, what, data) => assert.ok((await context.request.post(`${issuer}/${what}`, { data })).ok());

  /** Says whom the provider signs in, and what time it is. */
  async function provider(context, claims) {
    await tell(context, "set", JSON.stringify({ claims }));
    await tell(context, "now", String(Math.floor(Date.now() / 1000)));
  }

  /** Signs in by one's own factors. */
  async function signIn(page, person) {
    await page.getByLabel("Login name").fill(person.login);
    await page.getByLabel("Password").fill(person.password);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByLabel("Code of your authenticator app").fill(totp(person.totp_secret, Date.now()));
    await page.getByRole("button", { name: "Sign in" }).click();
    await welcome(page);
  }

  const button = (page) => page.getByRole("link", { name: "Acme account" });
  const welcome = (page) => page.getByRole("heading", { name: /^Welcome, / }).waitFor();

  // An administrator sets the service. The codes of this step were used for enrolling a moment ago.
  await nextStep();
  const office = await visitor();
  await office.page.goto(`${base}/sign-in`);
  assert.equal(await button(office.page).count(), 0, "there is no service yet");
  await signIn(office.page, admin);
  await office.page.goto(`${base}/settings`);
  await office.page.getByText("There is none.").waitFor();
  await office.page.getByLabel("Issuer").fill(issuer);
  await office.page.getByLabel("Client id").fill(client);
  await office.page.getByLabel("What the button says").fill("Acme account");
  await office.page.getByLabel("Words of the service that mean two factors (amr)").fill("mfa");
  await office.page.getByRole("button", { name: "Set the sign-in service" }).click();
  await office.page.getByRole("status").filter({ hasText: "The sign-in service is set." }).waitFor();
  await office.page.getByText(`Staff may sign in by ${issuer}. It knows the organisation by its key. Until another`).waitFor();
  await picture(office.page, "settings-service");
  const keys = await office.page.locator("#service-keys").innerText();
  const jwks = await office.page.evaluate(async (address) => (await fetch(address)).json(), keys);
  await tell(office.context, "set", JSON.stringify({ jwks }));

  // A privacy officer agrees that its two factors count.
  const watch = await visitor();
  await watch.page.goto(`${base}/sign-in`);
  await signIn(watch.page, officer);
  await watch.page.goto(`${base}/people`);
  await watch.page.getByText(`Sign-in by ${issuer}, as ${client}: set by`).waitFor();
  await picture(watch.page, "people-service");
  await watch.page.getByRole("button", { name: `Agree: Two factors of ${issuer}` }).click();
  await watch.page.getByRole("status").filter({ hasText: "done." }).waitFor();
  await office.page.reload();
  await office.page.getByText("That its two factors count here was agreed to on").waitFor();

  const { context, page } = await visitor();
  await page.goto(`${base}/sign-in`);
  await button(page).waitFor();
  await picture(page, "sign-in-service");

  // Nobody is linked yet.
  await provider(context, { sub: "n-1", amr: ["mfa"] });
  await button(page).click();
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  assert.match(await page.getByRole("alert").innerText(), /^Nobody who may sign in here/);
  await picture(page, "sign-in-stopped");
  await page.getByRole("link", { name: "Back to signing in" }).click();

  // One links oneself, signed in by one's own factors.
  await signIn(page, nurse);
  await page.getByText("You are not linked.").waitFor();
  await provider(context, { sub: "n-1", amr: ["mfa"] });
  await page.getByRole("button", { name: "Link Acme account" }).click();
  await page.getByText(/^You are linked since /).waitFor();
  await page.getByText("This account was linked to the organisation's sign-in service").waitFor();
  await picture(page, "account-linked");
  await page.getByRole("button", { name: "Sign out" }).click();

  // By the service alone, with two factors.
  await button(page).click();
  await welcome(page);
  await page.getByText(/This session\. Since .*, by sign-in service\./).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();

  // With one factor the second is asked for here.
  await provider(context, { sub: "n-1", amr: ["pwd"] });
  await button(page).click();
  await page.getByRole("heading", { name: "Second factor" }).waitFor();
  assert.equal(new URL(page.url()).hash, "");
  await nextStep();
  await page.getByLabel("Code of your authenticator app").fill(totp(nurse.totp_secret, Date.now()));
  await page.getByRole("button", { name: "Sign in" }).click();
  await welcome(page);
  await page.getByRole("button", { name: "Unlink it" }).click();
  await page.getByText("You are not linked any more.").waitFor();
});

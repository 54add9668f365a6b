// The organisation's own sign-in service in a browser: linking, signing in by it, a second factor here, and what is said when it does not work.
//
//   node federation.mjs <what it is to know> <folder for pictures>

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { nextStep, totp } from "./shared.mjs";
import { perform } from "./stage.mjs";

const [path, artefacts] = process.argv.slice(2);
const { base, issuer, nurse } = JSON.parse(readFileSync(path, "utf8"));

const code = () => totp(nurse.totp_secret, Date.now());

await perform("federation", artefacts, async ({ visitor, picture }) => {
  /** Says whom the provider signs in, and what time it is. */
  async function provider(context, claims) {
    const tell = async (what, data) => assert.ok((await context.request.post(`${issuer}/${what}`, { data })).ok());
    await tell("set", JSON.stringify({ claims }));
    await tell("now", String(Math.floor(Date.now() / 1000)));
  }

  const button = (page) => page.getByRole("link", { name: "Acme account" });
  const welcome = (page) => page.getByRole("heading", { name: /^Welcome, / }).waitFor();

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
  await page.getByLabel("Login name").fill(nurse.login);
  await page.getByLabel("Password").fill(nurse.password);
  await page.getByRole("button", { name: "Continue" }).click();
  // The code of this step was used for enrolling a moment ago.
  await nextStep();
  await page.getByLabel("Code of your authenticator app").fill(code());
  await page.getByRole("button", { name: "Sign in" }).click();
  await welcome(page);
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
  await page.getByLabel("Code of your authenticator app").fill(code());
  await page.getByRole("button", { name: "Sign in" }).click();
  await welcome(page);
  await page.getByRole("button", { name: "Unlink it" }).click();
  await page.getByText("You are not linked any more.").waitFor();
});

// Lists that are longer than one answer: the pages for people, apps and one's own account show what is on the further ones, too.
// Usage: node long-lists.mjs KNOWS_JSON [ARTEFACTS]; see stage.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { perform } from "./stage.mjs";

const [path, artefacts = "browser-artefacts"] = process.argv.slice(2);
const { base, token, asked, by, apps, notices } = JSON.parse(readFileSync(path, "utf8"));

/** Whose role somebody else decides on, who is not among the first people that are listed. */
async function decisions(page) {
  await page.goto(`${base}/people`);
  const request = page.locator("#requests li", { hasText: "asked for by" });
  await request.waitFor();
  const text = await request.innerText();
  assert.ok(text.includes(`for ${asked}: asked for by ${by} on`), text);
  assert.equal(await page.locator("#people li", { hasText: asked }).count(), 0, "not in the list as far as it is shown");
  assert.ok(await page.getByRole("button", { name: `Agree: `, exact: false }).first().isVisible());
}

async function everyApp(page) {
  await page.goto(`${base}/apps`);
  await page.locator("#apps li").nth(apps - 1).waitFor();
  assert.equal(await page.locator("#apps li").count(), apps);
}

/** All that are new, before all of them are said to be seen. */
async function everyNotice(page) {
  await page.goto(base);
  await page.locator("#notices-state", { hasText: `${notices} new` }).waitFor();
  assert.equal(await page.locator("#notices li").count(), notices);
  await page.locator("#notices-seen").click();
  await page.locator("#notices-state", { hasText: "Nothing new." }).waitFor();
  assert.equal(await page.locator("#notices li").count(), 10);
}

await perform("long lists", artefacts, async ({ visitor, picture }) => {
  const { context, page } = await visitor();
  await context.addCookies([{ name: "__Host-carekeep", value: token, url: base, secure: true, httpOnly: true }]);
  await decisions(page);
  await picture(page, "people-beyond-the-list");
  await everyApp(page);
  await everyNotice(page);
});

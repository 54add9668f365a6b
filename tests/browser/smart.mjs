// A SMART app on another origin, on the public JavaScript client as it is published: a standalone launch, in which the person
// signs in and picks a patient, and a launch from the chart. Usage: node smart.mjs CLINIC_JSON [ARTEFACTS]
//
// CAREKEEP_NODE_MODULES: where fhirclient is; see stage.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { nextStep, totp } from "./shared.mjs";
import { perform } from "./stage.mjs";

const [clinicPath, artefacts = "browser-artefacts"] = process.argv.slice(2);
const clinic = JSON.parse(readFileSync(clinicPath, "utf8"));
const modules = process.env.CAREKEEP_NODE_MODULES;
const require = createRequire(modules ? join(modules, "x.js") : import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

/** The app's own server. */
async function serveApp() {
  const page = readFileSync(join(here, "app/page.html"));
  const built = join(dirname(require.resolve("fhirclient/package.json")), "build/fhir-client.js");
  const files = {
    "/fhir-client.js": [SCRIPT, readFileSync(built)],
    "/page.js": [SCRIPT, readFileSync(join(here, "app/page.js"))],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? [HTML, page];
    response.setHeader("content-type", type);
    response.end(body);
  });
  await new Promise((done) => { server.listen(0, "127.0.0.1", done); });
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

async function giveFactors(page, person) {
  await page.locator("#login").fill(person.login);
  await page.locator("#password").fill(person.password);
  await page.keyboard.press("Enter");
  await page.locator("#code").waitFor();
  await page.locator("#code").fill(totp(person.totp_secret, Date.now()));
  await page.keyboard.press("Enter");
}

/** A request of the tenant's own page, with its session. */
async function ask(page, path, body) {
  const answer = await page.evaluate(async ([path, body]) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }, [path, body]);
  assert.ok(answer.status < 300, `${path}: ${JSON.stringify(answer)}`);
  return answer.body;
}

async function registered(page, app) {
  await page.goto(`${clinic.base}/sign-in`);
  await giveFactors(page, clinic.admin);
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();
  const { client_id: client } = await ask(page, "/api/v1/apps", {
    client_name: "Growth Chart",
    token_endpoint_auth_method: "none",
    redirect_uris: [`${app.origin}/`],
    initiate_login_uri: `${app.origin}/launch`,
    scope: "launch launch/patient patient/*.rs openid offline_access",
  });
  await ask(page, `/api/v1/apps/${client}/approve`, null);
  return client;
}

async function outcome(page, app) {
  await page.waitForURL((url) => url.origin === app.origin && url.pathname === "/");
  const text = page.locator("#result").filter({ hasText: "{" });
  return JSON.parse(await text.innerText());
}

async function standalone(page, app, client) {
  const start = new URLSearchParams({ client, server: `${clinic.base}/fhir/R4`, other: clinic.other.patient });
  await page.goto(`${app.origin}/standalone?${start}`);
  await page.waitForURL(`${clinic.base}/sign-in`);
  await giveFactors(page, clinic.doctor);
  await page.getByRole("heading", { name: "Growth Chart asks for access" }).waitFor();
  assert.ok(await page.locator("#pick").isVisible(), "the person says whose chart it is");
  await page.locator("#patient-name").fill(clinic.own.family);
  await page.getByRole("button", { name: "Find patients" }).click();
  await page.locator("#patients input").first().check();
  await page.getByRole("button", { name: "Let it in", exact: true }).click();
  const got = await outcome(page, app);
  assert.deepEqual(
    { patient: got.patient, name: got.name, about: got.about, theirs: got.theirs, hidden: got.hidden },
    {
      patient: clinic.own.patient, name: clinic.own.family, about: [`Patient/${clinic.own.patient}`], theirs: 0, hidden: 404,
    },
    JSON.stringify(got),
  );
  assert.deepEqual(got.refreshed, { renewed: clinic.own.patient, again: 400, error: "invalid_grant", after: 401 });
  console.log("standalone launch: reads one patient's observations, nothing of another; refresh reuse ends the family");
}

async function fromTheChart(page, app, client, picture) {
  await page.goto(`${clinic.base}/`);
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();
  const { patient, encounter } = clinic.own;
  const { launch_url: address } = await ask(page, `/api/v1/apps/${client}/launch`, { patient, encounter });
  await page.goto(address);
  await page.locator("#chart").filter({ hasText: clinic.own.family }).waitFor();
  assert.ok(!(await page.locator("#pick").isVisible()), "the chart says whose it is");
  await picture(page, "consent-launched");
  await page.getByRole("button", { name: "Let it in", exact: true }).click();
  const got = await outcome(page, app);
  assert.deepEqual(
    { patient: got.patient, encounter: got.encounter, about: got.about, hidden: got.hidden },
    { patient, encounter, about: [`Patient/${patient}`], hidden: 404 },
    JSON.stringify(got),
  );
  console.log("launch from the chart: the app has the patient and the visit");
}

const app = await serveApp();
await perform("smart", artefacts, async ({ visitor, picture }) => {
  const office = await visitor();
  const client = await registered(office.page, app);
  const { page } = await visitor();
  await nextStep();
  await standalone(page, app, client);
  await fromTheChart(page, app, client, picture);
});
app.server.close();

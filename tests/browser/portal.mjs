// What people do with a browser, at a running installation: a clinician signs in by password and code, adds a passkey,
// signs out, signs in by the passkey without a login name, and reads a chart; an administrator invites somebody, who
// joins; an app is let in to one chart; somebody sees their notices and devices, stops a recovery, and is recovered by two
// administrators. Usage: node portal.mjs DEMO_JSON [ARTEFACTS]; see stage.mjs.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { check, nextStep, totp } from "./shared.mjs";
import { perform } from "./stage.mjs";

const [demoPath, artefacts = "browser-artefacts"] = process.argv.slice(2);
if (!demoPath) {
  console.error("usage: node portal.mjs DEMO_JSON [ARTEFACTS]");
  process.exit(2);
}
/** What the run has of its browser: `perform` hands it over. */
let visitor;
let picture;

/** By keyboard only: fill, Enter. */
async function password(page, tenant, person, typed) {
  await page.goto(`${tenant.base}/sign-in`);
  await page.locator("#login").waitFor();
  assert.ok(await page.locator("header").innerText(), "the tenant's name is on the page");
  assert.equal(await page.evaluate(() => document.activeElement.id), "login", "the first field has the focus");
  await page.keyboard.type(person.login);
  await page.keyboard.press("Tab");
  await page.keyboard.type(typed);
  await page.keyboard.press("Enter");
}

async function wrongPassword(page, tenant, person) {
  await password(page, tenant, person, `${person.password}x`);
  const alert = page.getByRole("alert");
  await alert.filter({ hasText: "not right" }).waitFor();
  assert.ok(!page.url().includes(person.login), "nothing typed is in the address");
  await picture(page, "sign-in-refused");
}

async function signIn(page, tenant, person) {
  await password(page, tenant, person, person.password);
  await page.locator("#code").waitFor();
  await check(page, "second factor");
  for (let attempt = 0; ; attempt += 1) {
    await page.locator("#code").fill(totp(person.totp_secret, Date.now()));
    await page.keyboard.press("Enter");
    const refused = page.getByRole("alert").filter({ hasText: "not right" });
    const entered = page.waitForURL(`${tenant.base}/`, { timeout: 15_000 }).then(() => true, () => false);
    const outcome = await Promise.race([entered, refused.waitFor({ timeout: 15_000 }).then(() => false, () => false)]);
    if (outcome) break;
    // The code of this step was used for enrolling a moment ago; a person waits for the next one, too.
    assert.ok(attempt < 2, `the code was refused: ${await page.getByRole("alert").innerText()}`);
    await nextStep();
  }
  await home(page);
}

async function home(page) {
  await page.getByRole("heading", { level: 1, name: /^Welcome, / }).waitFor();
  await page.locator("#sessions li", { hasText: "This session." }).waitFor();
}

async function addPasskey(page, cdp, authenticatorId) {
  await page.locator("#passkey-name").fill("Browser test");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("status").filter({ hasText: "is registered" }).waitFor();
  const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.ok(credentials[0].isResidentCredential, "it can be found without a login name");
}

async function removePasskey(page) {
  await page.locator("#passkeys li", { hasText: "Browser test" }).waitFor();
  await page.getByRole("button", { name: "Remove the passkey Browser test" }).click();
  await page.getByRole("status").filter({ hasText: "is removed" }).waitFor();
  assert.equal(await page.locator("#passkeys li").count(), 0);
}

async function signOut(page, context, tenant) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${tenant.base}/sign-in`);
  const cookies = await context.cookies(tenant.base);
  assert.deepEqual(cookies.filter((cookie) => cookie.name === "__Host-carekeep"), []);
  await page.goto(`${tenant.base}/`);
  await page.waitForURL(`${tenant.base}/sign-in`);
}

async function signInByPasskey(page, context, tenant) {
  await page.goto(`${tenant.base}/sign-in`);
  await page.getByRole("button", { name: "Use a passkey" }).first().click();
  await page.waitForURL(`${tenant.base}/`);
  await home(page);
  const cookie = (await context.cookies(tenant.base)).find((one) => one.name === "__Host-carekeep");
  assert.ok(cookie.httpOnly && cookie.secure && cookie.path === "/" && cookie.sameSite === "Lax", "cookie flags");
  assert.equal(await page.evaluate(() => document.cookie), "", "no script reads the cookie");
}

/** An administrator invites somebody with the page's own session; gives the link. */
async function invite(page) {
  const login = `browser.${Date.now().toString(36)}`;
  const made = await page.evaluate(async (login) => {
    const body = JSON.stringify({ login, name: "Nora Browser", roles: ["nurse"] });
    const headers = { "content-type": "application/json" };
    const response = await fetch("/api/v1/people", { method: "POST", headers, body });
    return { status: response.status, body: await response.json() };
  }, login);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body;
}

/** A newcomer follows the link: password, code generator, recovery codes, passkey. */
async function joinBy(page, cdp, tenant, invited) {
  const sent = [];
  await cdp.send("Network.enable");
  cdp.on("Network.requestWillBeSent", ({ request }) => sent.push(request.url, ...Object.values(request.headers)));
  await page.goto(invited.link);
  await page.getByRole("button", { name: "Begin" }).click();
  await page.locator("#password").waitFor();
  assert.equal(page.url(), `${tenant.base}/join`, "the token is gone from the address bar");
  await page.locator("#password").fill("password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "guessed" }).waitFor();
  await page.locator("#password").fill("pelican tangerine ledger");
  await page.keyboard.press("Enter");
  await page.locator("#totp-step").waitFor();
  assert.ok(await page.locator("#qr").evaluate((image) => image.decode().then(() => image.naturalWidth > 50)), "QR code");
  await picture(page, "join-totp");
  const secret = (await page.locator("#secret").textContent()).replaceAll(" ", "");
  await page.locator("#code").fill(totp(secret, Date.now()));
  await page.keyboard.press("Enter");
  await page.locator("#codes-step").waitFor();
  const codes = await page.locator("#codes li").allTextContents();
  assert.equal(new Set(codes).size, 10, "ten recovery codes");
  await picture(page, "join-codes");
  await page.getByRole("button", { name: "I have kept them" }).click();
  await page.locator("#passkey-step").waitFor();
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.waitForURL(`${tenant.base}/`);
  await home(page);
  assert.equal(await page.locator("#roles").innerText(), "nurse");
  assert.ok(sent.length > 10 && !sent.some((text) => text.includes(invited.token)), "no address or header has the token");
}

async function readChart(page) {
  const read = await page.evaluate(async () => {
    const response = await fetch("/fhir/R4/Patient?_count=1");
    return { status: response.status, body: await response.json() };
  });
  assert.equal(read.status, 200, JSON.stringify(read.body));
  assert.equal(read.body.resourceType, "Bundle");
  const patients = (read.body.entry ?? []).filter((entry) => entry.resource?.resourceType === "Patient");
  return patients.length;
}

const demo = JSON.parse(readFileSync(demoPath, "utf8"));
const clinician = (tenant) => tenant.people.find((person) => person.role === "clinician");
const tenant = demo.tenants.find(clinician);
assert.ok(tenant, "demo.json has no clinician");
const person = clinician(tenant);
async function asClinician() {
  const { context, page, cdp, authenticatorId } = await visitor();
  await page.goto(`${tenant.base}/`);
  await page.waitForURL(`${tenant.base}/sign-in`);
  await picture(page, "sign-in");
  await wrongPassword(page, tenant, person);
  await signIn(page, tenant, person);
  console.log(`signed in by password and code as ${person.login}`);
  await addPasskey(page, cdp, authenticatorId);
  await picture(page, "home");
  await signOut(page, context, tenant);
  await signInByPasskey(page, context, tenant);
  console.log("signed in by passkey without a login name");
  const patients = await readChart(page);
  console.log(`read /fhir/R4/Patient?_count=1 with the page's session: ${patients} patient(s)`);
  if (process.env.CAREKEEP_EXPECT_CHART) assert.ok(patients >= 1, "no chart came back");
  await removePasskey(page);
  console.log("removed the passkey");
}

async function asNewcomer() {
  const admin = tenant.people.find((one) => one.role === "tenant_admin");
  assert.ok(admin, "demo.json has no tenant_admin");
  const office = await visitor();
  await signIn(office.page, tenant, admin);
  const invited = await invite(office.page);
  const { page, cdp } = await visitor();
  await joinBy(page, cdp, tenant, invited);
  console.log("invited by an administrator and joined: password, code generator, recovery codes, passkey");
}

/** What the account page says of notices and devices, used. */
async function lookAfter(page) {
  await page.locator("#notices li").filter({ hasText: "Signed in from a new device: Chrome on Linux." }).first().waitFor();
  const device = page.locator("#devices li").filter({ hasText: "This device." });
  await device.getByRole("textbox", { name: "Name" }).fill("Ward computer");
  await device.getByRole("button", { name: /^Rename/ }).click();
  await page.getByRole("status").filter({ hasText: "new name" }).waitFor();
  await page.locator("#devices li").filter({ hasText: "This device. Ward computer" }).waitFor();
  const confirm = page.getByRole("button", { name: "Confirm the device Ward computer" });
  if (await confirm.count()) {
    await confirm.click();
    await page.getByRole("status").filter({ hasText: "is confirmed" }).waitFor();
  }
  await page.locator("#devices li").filter({ hasText: "Confirmed." }).first().waitFor();
  await page.getByRole("button", { name: "I have seen it" }).click();
  await page.locator("#notices-state").filter({ hasText: "Nothing new." }).waitFor();
}

/** Begun by one administrator and approved by another; gives the link and the code. */
async function recover(first, second, id) {
  const begun = await ask(first, "POST", `/api/v1/people/${id}/recovery`);
  const approved = await ask(second, "POST", `/api/v1/recoveries/${begun.recovery.id}/approve`);
  return { link: approved.link, code: begun.code };
}

/** Somebody sees that their account is recovered and stops it; the page of a recovery that is held says so. */
async function withARecovery() {
  const admins = tenant.people.filter((one) => one.role === "tenant_admin");
  if (admins.length < 2) return;
  const offices = [];
  for (const admin of admins) {
    const { page } = await visitor();
    await nextStep();
    await signIn(page, tenant, admin);
    offices.push(page);
  }
  const { page } = await visitor();
  await nextStep();
  await signIn(page, tenant, person);
  await lookAfter(page);
  const { person: id } = await ask(page, "GET", "/api/v1/me");
  const { link, code } = await recover(...offices, id);
  await page.reload();
  await home(page);
  await page.getByRole("heading", { name: "Your account is being recovered" }).waitFor();
  await picture(page, "account-recovery");

  const { page: stranger } = await visitor();
  await stranger.goto(link);
  await stranger.locator("#recovery-code").fill(code);
  assert.equal(stranger.url(), `${tenant.base}/recover`, "the token is gone from the address bar");
  await stranger.keyboard.press("Enter");
  await stranger.getByRole("alert").filter({ hasText: "not open" }).waitFor();
  await picture(stranger, "recover-held");

  await page.getByRole("button", { name: "Stop the recovery" }).click();
  await page.getByRole("status").filter({ hasText: "Nothing was changed" }).waitFor();
  assert.ok(await page.locator("#recovery").isHidden());
  console.log("notices seen, device named and confirmed, recovery held and stopped");
}

/** A page's own request, with its session. */
async function ask(page, method, path, body) {
  const answer = await page.evaluate(async ([method, path, body]) => {
    const headers = body ? { "content-type": "application/json" } : {};
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }, [method, path, body]);
  assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer)}`);
  return answer.body;
}

/** An app on this machine: notes where people are sent back to it. */
async function app() {
  const back = [];
  const server = createServer((request, response) => {
    if (request.url.startsWith("/cb")) back.push(new URL(request.url, "http://127.0.0.1"));
    response.end("<!doctype html><title>App</title>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { back, server, uri: `http://127.0.0.1:${server.address().port}/cb` };
}

const SCOPE = "launch/patient patient/*.rs offline_access";
const VERIFIER = "a-verifier-of-an-app-in-a-test-0123456789-abcdefgh";

function authorization(client, uri, state, at = tenant) {
  const challenge = createHash("sha256").update(VERIFIER).digest("base64url");
  const query = new URLSearchParams({
    response_type: "code", client_id: client, redirect_uri: uri, scope: SCOPE, state, aud: `${at.base}/fhir/R4`,
    code_challenge: challenge, code_challenge_method: "S256",
  });
  return `${at.base}/oauth/authorize?${query}`;
}

/** Registers an app by the page for it, looks at it, approves it; gives its `client_id`. */
async function register(page) {
  await page.getByRole("link", { name: "Apps" }).click();
  await page.locator("#no-apps").or(page.locator("#apps li").first()).first().waitFor();
  const form = async (kind, redirect) => {
    await page.locator("#app-name").fill("Growth Chart");
    await page.locator("#app-kind").selectOption(kind);
    await page.locator("#app-scope").fill(SCOPE);
    await page.locator("#app-redirects").fill(redirect);
    await page.getByRole("button", { name: "Register it" }).click();
  };
  await form("none", "http://app.example/cb");
  await page.getByRole("alert").filter({ hasText: "redirect URIs" }).waitFor();
  await form("none", "http://127.0.0.1/cb");
  await page.getByRole("status").filter({ hasText: "is registered" }).waitFor();
  const pending = page.locator("#apps li", { hasText: "Waits for approval" });
  await picture(page, "apps-pending");
  const client = (await pending.innerText()).match(/client_id (\S+)/)[1];
  await pending.getByRole("button", { name: "Approve Growth Chart" }).click();
  const one = page.locator("#apps li", { hasText: client });
  await one.filter({ hasText: "Approved" }).waitFor();
  await one.getByRole("button", { name: "Disable Growth Chart" }).click();
  await one.filter({ hasText: "Disabled" }).waitFor();
  await one.getByRole("button", { name: "Approve Growth Chart" }).click();
  await one.filter({ hasText: "Approved" }).waitFor();
  await form("client_secret_basic", "https://app.example/cb");
  await page.locator("#secret").filter({ hasText: /.{40}/ }).waitFor();
  await picture(page, "apps");
  await pending.getByRole("button", { name: "Remove Growth Chart" }).click();
  await pending.waitFor({ state: "detached" });
  return client;
}

/** An administrator registers an app; a clinician is sent by it, signs in, and refuses it, then lets it in to one chart. */
async function withAnApp() {
  const { server, back, uri } = await app();
  try {
    const office = await visitor();
    await signIn(office.page, tenant, tenant.people.find((one) => one.role === "tenant_admin"));
    const client = await register(office.page);

    const { page } = await visitor();
    await page.goto(authorization(client, uri, "first"));
    await page.waitForURL(`${tenant.base}/sign-in`);
    await nextStep();
    await page.locator("#login").fill(person.login);
    await page.locator("#password").fill(person.password);
    await page.keyboard.press("Enter");
    await page.locator("#code").waitFor();
    await page.locator("#code").fill(totp(person.totp_secret, Date.now()));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Growth Chart asks for access" }).waitFor();
    assert.equal(await page.locator("#site").innerText(), new URL(uri).origin);
    await picture(page, "consent");
    await page.getByRole("button", { name: "Do not let it in" }).click();
    await page.waitForURL((url) => url.href.startsWith(uri));
    assert.equal(back.at(-1).searchParams.get("error"), "access_denied");
    assert.equal(back.at(-1).searchParams.get("state"), "first");

    await page.goto(authorization(client, uri, "second"));
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "choose" }).waitFor();
    const [patient] = (await ask(page, "GET", "/fhir/R4/Patient?_count=1")).entry.map((entry) => entry.resource);
    await page.locator("#patient-name").fill(patient.name[0].family);
    await page.getByRole("button", { name: "Find patients" }).click();
    await page.locator("#patients input").first().check();
    await picture(page, "consent-patient");
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    await page.waitForURL((url) => url.href.startsWith(uri));
    const given = back.at(-1).searchParams;
    assert.equal(given.get("state"), "second");
    assert.equal(given.get("iss"), tenant.base);
    const form = { grant_type: "authorization_code", code: given.get("code"), redirect_uri: uri, code_verifier: VERIFIER, client_id: client };
    await page.goto(`${tenant.base}/`);
    await home(page);
    const token = await page.evaluate(async (form) => {
      const response = await fetch("/oauth/token", { method: "POST", body: new URLSearchParams(form) });
      return response.json();
    }, form);
    assert.ok(token.access_token && token.refresh_token && token.patient, JSON.stringify(token));
    await picture(page, "home-apps");
    await page.getByRole("button", { name: "Withdraw what you allowed Growth Chart" }).click();
    await page.getByRole("status").filter({ hasText: "has no access any more" }).waitFor();
    await page.locator("#no-apps").waitFor();
    console.log("let an app in to one chart, and withdrew it");
  } finally {
    server.close();
  }
}

/** The same question in the brand of another tenant, where the installation has one with people. */
async function inAnotherBrand() {
  const admin = (one) => one.people.find((person) => person.role === "tenant_admin");
  const other = demo.tenants.find((one) => one !== tenant && clinician(one) && admin(one));
  if (!other) return;
  const office = await visitor();
  await signIn(office.page, other, admin(other));
  const uri = "http://127.0.0.1/cb";
  const registration = { client_name: "Growth Chart", token_endpoint_auth_method: "none", redirect_uris: [uri], scope: SCOPE };
  const { client_id: client } = await ask(office.page, "POST", "/api/v1/apps", registration);
  await ask(office.page, "POST", `/api/v1/apps/${client}/approve`);
  const { page } = await visitor();
  await page.goto(`${tenant.base}/sign-in`);
  const brand = await page.locator("header").innerText();
  await signIn(page, other, clinician(other));
  await page.goto(authorization(client, uri, "other", other));
  await page.getByRole("heading", { name: "Growth Chart asks for access" }).waitFor();
  assert.notEqual(await page.locator("header").innerText(), brand, "another tenant's name is on the page");
  await picture(page, "consent-another-brand");
  console.log("asked in another brand");
}

await perform("browser", artefacts, async (stage) => {
  ({ visitor, picture } = stage);
  await asClinician();
  await asNewcomer();
  await withAnApp();
  await inAnotherBrand();
  await withARecovery();
});

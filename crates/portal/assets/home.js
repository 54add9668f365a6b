// The person's own account: who they are, where they are signed in, their passkeys and recovery codes.

import { loadAccount } from "./account.js";
import { call, get, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { loadFederation, offerFederation } from "./federation.js";
import { watchSession } from "./logoff.js";
import { at, button, done, line, onClick, onSubmit, say, showCodes } from "./page.js";
import { addPasskey } from "./passkey.js";

const leave = () => location.assign("/sign-in");

const FACTORS = { password: "password", totp: "app code", passkey: "passkey", recovery_code: "recovery code", provider: "sign-in service" };

// Where there are no clinics to work in, there are no apps, no recovery codes and no sign-in service.
const clinic = Boolean(at("apps"));

async function load() {
  const me = await get("/api/v1/me");
  at("welcome").textContent = `Welcome, ${me.name}`;
  at("name").textContent = me.name;
  at("login").textContent = me.login;
  at("roles").textContent = me.roles.map((role) => role.replaceAll("_", " ")).join(", ");
  at("reenrol").hidden = !me.must_reenrol;
  at("administers").hidden = !["tenant_admin", "privacy_officer", "platform_operator", "partner_admin"].some((role) => me.roles.includes(role));
  const more = clinic ? [loadApps(), loadFederation()] : [];
  await Promise.all([loadSessions(), loadPasskeys(), loadAccount(sensitive), ...more]);
}

async function loadApps() {
  const { grants } = await get("/api/v1/app-grants");
  at("apps").replaceChildren(...grants.map(appItem));
  at("no-apps").hidden = grants.length > 0;
}

function appItem(grant) {
  const element = document.createElement("li");
  const since = new Date(grant.created).toLocaleString();
  const ends = grant.offline ? "It goes on after you sign out." : "It ends when you sign out.";
  const withdraw = button("Withdraw it", `Withdraw what you allowed ${grant.app} ${since}`, async () => {
    await call("DELETE", `/api/v1/app-grants/${grant.id}`);
    await loadApps();
    done(`${grant.app} has no access any more.`);
    at("apps-title").scrollIntoView();
  });
  element.append(line(`${grant.app}, since ${since}: ${grant.scope}. ${ends}`), document.createElement("br"), withdraw);
  return element;
}

async function loadPasskeys() {
  const { passkeys } = await get("/api/v1/passkeys");
  at("passkeys").replaceChildren(...passkeys.map(passkeyItem));
}

function passkeyItem(passkey) {
  const element = document.createElement("li");
  const used = passkey.last_used ? `last used ${new Date(passkey.last_used).toLocaleString()}` : "not used yet";
  const text = `${passkey.name || "Without a name"}: ${used}.${passkey.copied ? " Also on other devices." : ""}`;
  const remove = button("Remove it", `Remove the passkey ${passkey.name}`, () => sensitive(async () => {
    await call("DELETE", `/api/v1/passkeys/${passkey.id}`);
    await Promise.all([loadSessions(), loadPasskeys()]);
    done("The passkey is removed, and all other sessions have ended.");
    at("passkey-title").scrollIntoView();
  }));
  element.append(line(text), document.createElement("br"), remove);
  return element;
}

async function loadSessions() {
  const { sessions } = await get("/api/v1/sessions");
  at("sessions").replaceChildren(...sessions.map(item));
  at("revoke-others").hidden = sessions.length < 2;
}

function item(session) {
  const element = document.createElement("li");
  const began = new Date(session.created).toLocaleString();
  const factors = session.factors.map((factor) => FACTORS[factor] ?? factor).join(" and ");
  element.append(line(`${session.current ? "This session. " : ""}Since ${began}, by ${factors}.`));
  if (!session.current) {
    element.append(document.createElement("br"), button("End it", `End the session that began ${began}`, async () => {
      await call("DELETE", `/api/v1/sessions/${session.id}`);
      await loadSessions();
      done("The session has ended.");
      at("sessions-title").scrollIntoView();
    }));
  }
  return element;
}

if (clinic) offerFederation(sensitive);

onClick("sign-out", async () => {
  await post("/api/v1/sign-out");
  leave();
});

onClick("revoke-others", async () => {
  await post("/api/v1/sessions/revoke-others");
  await loadSessions();
  done("All other sessions have ended.");
});

onSubmit("passkey-form", () => sensitive(async () => {
  await addPasskey(at("passkey-name").value);
  at("reenrol").hidden = true;
  await Promise.all([loadSessions(), loadPasskeys()]);
  done("The passkey is registered. Next time, choose “Use a passkey”.");
}));

if (clinic) onClick("new-codes", () => sensitive(async () => {
  const made = await post("/api/v1/enrol/recovery-codes");
  showCodes(made.codes);
  done("Keep the new recovery codes now; they are not shown again.");
}));

// A factor that is added meanwhile gives the session a new token, and what is under way with the old one is refused: once more.
const again = (error) => (error.status === 401 ? load() : Promise.reject(error));
load().catch(again).then(watchSession).catch((error) => {
  if (error.status === 401) leave();
  else say(error.message);
});

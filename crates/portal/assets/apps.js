// The organisation's apps: who is registered, what each may ask for, approving, disabling, removing; registering another one.

import { call, pages, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { watchSession } from "./logoff.js";
import { at, button, done, line, onSubmit, say, show } from "./page.js";

const PROOFS = { none: "proves itself by nothing", client_secret_basic: "proves itself by a secret", private_key_jwt: "proves itself by its key" };
const STATES = { pending: "Waits for approval", approved: "Approved", disabled: "Disabled" };

function act(text, app, action, what = "done.") {
  return button(text, `${text} ${app.client_name}`, () => sensitive(async () => {
    await action();
    await load();
    done(`${app.client_name}: ${what}`);
    at("apps-title").scrollIntoView();
  }));
}

function item(app) {
  const element = document.createElement("li");
  const path = `/api/v1/apps/${app.client_id}`;
  const places = [...app.redirect_uris, ...(app.initiate_login_uri ? [`opened from charts at ${app.initiate_login_uri}`] : [])];
  const said = [
    line(app.client_name, "strong"),
    line(`${STATES[app.state]}; ${PROOFS[app.token_endpoint_auth_method]}.`),
    line(`May ask for: ${app.scope}`),
    line(places.length ? places.join(", ") : "A program without people"),
    line(`client_id ${app.client_id}`),
  ];
  said.forEach((part) => element.append(part, document.createElement("br")));
  if (app.reads_records !== undefined) element.append(...reading(app));
  if (app.state === "approved") element.append(act("Disable", app, () => post(`${path}/disable`)));
  else element.append(act("Approve", app, () => post(`${path}/approve`)));
  element.append(act("Remove", app, () => call("DELETE", path)));
  return element;
}

/** Whether a program reads charts, and what can be done about it: asked for here, decided by a privacy officer. */
function reading(app) {
  const path = `/api/v1/people/${app.person}/roles/records_reader`;
  const said = app.reads_records ? "Reads charts, as far as its scopes go." : "Reads no chart.";
  const change = app.reads_records
    ? act("Let it read no more:", app, () => call("DELETE", path))
    : act("Ask that it may read charts:", app, () => call("PUT", path), "a privacy officer who did not register it has to agree.");
  return [line(said), document.createElement("br"), change];
}

async function load() {
  const apps = [];
  for await (const page of pages("/api/v1/apps?limit=200")) apps.push(...page.apps);
  at("apps").replaceChildren(...apps.map(item));
  at("no-apps").hidden = apps.length > 0;
}

/** What the form says, as the API takes it. */
function registration() {
  const text = (id) => at(id).value.trim();
  const keys = text("app-keys");
  let jwks;
  try {
    jwks = keys ? JSON.parse(keys) : undefined;
  } catch {
    throw new Error("The keys are no JSON text: paste the whole key set.");
  }
  return {
    client_name: text("app-name"),
    token_endpoint_auth_method: at("app-kind").value,
    scope: text("app-scope"),
    redirect_uris: text("app-redirects").split(/\s+/).filter(Boolean),
    ...(text("app-launch") ? { initiate_login_uri: text("app-launch") } : {}),
    ...(jwks ? { jwks } : {}),
  };
}

onSubmit("register-form", () => sensitive(async () => {
  const made = await post("/api/v1/apps", registration());
  at("register-form").reset();
  await load();
  done(`${made.client_name} is registered. It gets nothing before it is approved.`);
  at("secret").textContent = made.client_secret ?? "";
  at("secret-shown").hidden = true;
  if (made.client_secret) show("secret-shown");
  else at("apps-title").focus();
}));

sensitive(load).then(watchSession).catch((error) => {
  if (error.status === 401) location.assign("/sign-in");
  else say(error.message);
});

// The organisation's people: who there is, what each may do, who waits for what; inviting, suspending, letting go, recovering.

import { call, get, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { loadDecisions } from "./decisions.js";
import { watchSession } from "./logoff.js";
import { at, button, done, line, onClick, onSubmit, say, show, sure } from "./page.js";

const PAGE = 50;
const STATES = { invited: "has not joined yet", active: "", suspended: "suspended", left: "has left" };
const WHYS = { no_passkey: "no passkey", few_recovery_codes: "few recovery codes left", never_joined: "never joined", devices_cleared: "no confirmed device" };

/** Every role that is given here, with what it is called. */
const ROLES = new Map([...document.querySelectorAll("#invite-roles input")].map((box) => [box.value, box.dataset.title]));
const title = (role) => ROLES.get(role) ?? role.replaceAll("_", " ");

/** Who is shown, by id, and where the list goes on. */
const shown = new Map();
let next = null;
let weakNext = null;
/** Whether whoever looks may change something; the API decides anyway. */
let administers = false;
let myself = null;

/** Who is named beside the list, by id. */
const met = new Map();

const name = (id) => (shown.get(id) ?? met.get(id))?.name ?? `somebody (${id})`;

/** Finds out who these are, if they are not in the list as far as it is shown. */
async function meet(ids) {
  met.clear();
  const unknown = [...new Set(ids)].filter((id) => id && !shown.has(id));
  for (let from = 0; from < unknown.length; from += 100) {
    const answer = await get(`/api/v1/people?ids=${unknown.slice(from, from + 100).join(",")}`);
    answer.people.forEach((person) => met.set(person.id, person));
  }
}

/** Shows something that is shown once. */
function hand(text, secret) {
  at("hand-text").textContent = text;
  at("hand-secret").textContent = secret;
  show("hand");
}

/** A button that does something about a person, shows how things stand then, and says so: whoever reads it finds it as it is. */
function act(text, person, action) {
  return button(text, `${text}: ${person.name}`, () => sensitive(async () => {
    const said = await action();
    await load();
    done(said ?? `${person.name}: done.`);
  }));
}

function item(person) {
  const element = document.createElement("li");
  if (!person.name) {
    element.append(line(`${person.id}: ${person.status}`));
    return element;
  }
  const stands = [STATES[person.status], person.roles.map(title).join(", ")].filter(Boolean).join("; ");
  const said = `${person.name} (${person.login})${stands ? `: ${stands}` : ""}`;
  if (!administers || person.status === "left") {
    element.append(line(said));
    return element;
  }
  const details = document.createElement("details");
  details.append(line(said, "summary"), ...acts(person));
  element.append(details);
  return element;
}

function acts(person) {
  const path = `/api/v1/people/${person.id}`;
  const all = person.status === "invited" ? [inviteAgain(person)] : person.audience === "patient" ? [] : roleActs(person, path);
  if (person.status === "active") {
    all.push(act("Suspend", person, async () => {
      await post(`${path}/suspend`);
      return `${person.name} is suspended: signed out everywhere, and cannot sign in.`;
    }));
  }
  if (person.status === "suspended") {
    all.push(act("End the suspension", person, () => post(`${path}/reinstate`)));
  }
  if (person.status === "active") all.push(act("Their devices are lost", person, () => clearDevices(person, path)));
  // A patient's begins from the chart, by whoever has the patient before them.
  if (person.status !== "invited" && !person.roles.includes("patient")) all.push(act("Recover the account", person, () => recover(person, path)));
  return [...all, letGo(person, path)];
}

function roleActs(person, path) {
  const take = person.roles.filter((role) => ROLES.has(role)).map((role) => act(`Take: ${title(role)}`, person, () =>
    call("DELETE", `${path}/roles/${role}`)));
  const label = line(`Another role for ${person.name}`, "label");
  const choice = document.createElement("select");
  choice.id = `give-${person.id}`;
  label.htmlFor = choice.id;
  for (const [role, words] of ROLES) {
    if (!person.roles.includes(role)) choice.append(new Option(words, role));
  }
  const give = act("Give this role", person, async () => {
    const given = await call("PUT", `${path}/roles/${choice.value}`);
    return given.state === "requested" ? `${title(choice.value)}: somebody else has to agree.` : `${person.name} has the role now.`;
  });
  return [...take, label, choice, give];
}

async function recover(person, path) {
  const begun = await post(`${path}/recovery`);
  hand(`Give this code to ${person.name} yourself, once you know that it is them. Somebody else has to agree and hands over a link; it works after the hold. It is not shown again.`, begun.code);
  return `The recovery of ${person.name} is begun; ${person.name} can stop it.`;
}

async function clearDevices(person, path) {
  await call("DELETE", `${path}/devices`);
  return `No device of ${person.name} counts as confirmed any more, and all are signed out. The next one that signs in by passkey does.`;
}

function letGo(person, path) {
  const warning = "Their sessions, roles and invitations end for good. What they did stays on record.";
  return button("Let go", `Let go: ${person.name}`, async () => {
    if (!(await sure(`Let ${person.name} go?`, warning, "Let go"))) return;
    await sensitive(async () => {
      await call("DELETE", path);
      await load();
      done(`${person.name} has left.`);
    });
  });
}

function inviteAgain(person) {
  return button("Invite again", `Invite again: ${person.name}`, () => {
    inviting(person);
    at("invite").scrollIntoView();
    at("invite-title").focus();
  });
}

/** Whom the form invites: somebody new, or somebody who has not joined yet. */
let invited = null;

function inviting(person) {
  invited = person;
  for (const [id, value] of [["invite-name", person?.name], ["invite-login", person?.login]]) {
    at(id).value = value ?? "";
    at(id).readOnly = Boolean(person);
  }
  at("invite-new").hidden = !person;
}

onClick("invite-new", () => inviting(null));

onSubmit("invite-form", () => sensitive(async () => {
  const roles = [...document.querySelectorAll("#invite-roles input:checked")].map((box) => box.value);
  // Whoever an identity provider added has roles that wait for them.
  if (!roles.length && !invited) throw new Error("Choose what the person is to do: one role at least.");
  const who = at("invite-name").value;
  const made = invited
    ? await post(`/api/v1/people/${invited.id}/invite`, { roles })
    : await post("/api/v1/people", { login: at("invite-login").value, name: who, roles });
  at("invite-form").reset();
  inviting(null);
  await load();
  const more = made.requests?.length ? " Somebody else has to agree to some of the roles." : "";
  done(`${who} is invited.${more}`);
  hand(`Give this link to ${who} and to nobody else: whoever opens it joins as ${who}. It is good until ${new Date(made.expires).toLocaleString()} and not shown again.`, made.link);
}));

/** Everybody who was shown so far, anew; at least one page. */
async function load() {
  const wanted = shown.size || PAGE;
  shown.clear();
  next = null;
  do await page(); while (next && shown.size < wanted);
  showPeople();
  await Promise.all([loadWeak(null), loadDecisions({ meet, name, title, hand, me: myself, reload: load })]);
}

async function page() {
  const answer = await get(`/api/v1/people?limit=${PAGE}${next ? `&after=${next}` : ""}`);
  answer.people.forEach((person) => shown.set(person.id, person));
  next = answer.next ?? null;
}

function showPeople() {
  const open = new Set([...at("people").querySelectorAll("details[open]")].map((one) => one.dataset.person));
  at("people").replaceChildren(...[...shown.values()].map((person) => {
    const element = item(person);
    const details = element.querySelector("details");
    if (details) {
      details.dataset.person = person.id;
      details.open = open.has(person.id);
    }
    return element;
  }));
  at("more").hidden = !next;
}

onClick("more", async () => {
  await page();
  showPeople();
});

async function loadWeak(after) {
  if (!administers) return;
  const answer = await get(`/api/v1/people/weak-factors${after ? `?after=${after}` : ""}`);
  const items = answer.people.map((weak) => line(`${weak.name} (${weak.login}): ${weak.why.map((why) => WHYS[why] ?? why).join(", ")}`, "li"));
  if (after) at("weak").append(...items);
  else at("weak").replaceChildren(...items);
  weakNext = answer.next ?? null;
  at("more-weak").hidden = !weakNext;
  at("no-weak").hidden = at("weak").children.length > 0;
}

onClick("more-weak", () => loadWeak(weakNext));

async function begin() {
  const me = await get("/api/v1/me");
  administers = me.roles.includes("tenant_admin");
  myself = me.person;
  for (const id of ["invite", "weak-title"]) at(id).closest("section").hidden = !administers;
  await sensitive(load);
}

begin().then(watchSession).catch((error) => {
  if (error.status === 401) location.assign("/sign-in");
  else say(error.message);
});

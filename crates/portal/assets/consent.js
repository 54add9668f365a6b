// Letting an app in: what it asks for, whose chart it is about, yes or no.

import { get, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { watchSession } from "./logoff.js";
import { at, onClick, onSubmit, say, show } from "./page.js";
import { leaveForSignIn } from "./return.js";

const request = location.search.slice(1);
let picks = false;

function item(input, text) {
  const element = document.createElement("li");
  const label = document.createElement("label");
  label.className = "choice";
  const words = document.createElement("span");
  words.textContent = text;
  label.append(input, words);
  element.append(label);
  return element;
}

function choice(type, name, value, checked) {
  const input = document.createElement("input");
  Object.assign(input, { type, name, value, checked });
  return input;
}

const chosen = (name) => [...document.querySelectorAll(`input[name=${name}]:checked`)].map((input) => input.value);

async function load() {
  const asked = await get(`/api/v1/consent?${request}`);
  at("ask-title").textContent = `${asked.app} asks for access`;
  at("site").textContent = asked.site;
  at("scopes").replaceChildren(...asked.scopes.map((wish) => item(choice("checkbox", "scope", wish.scope, true), wish.means)));
  at("offline").hidden = !asked.offline;
  picks = asked.patient === "pick";
  at("pick").hidden = !picks;
  if (asked.launched_for) await sayWhose(asked.launched_for);
  show("ask");
}

/** The chart that the app was opened from: the person sees whose it is. */
async function sayWhose(id) {
  at("chart").textContent = `It is opened for the chart of ${described(await get(`/fhir/R4/Patient/${id}`))}.`;
  at("chart").hidden = false;
}

function nameOf(patient) {
  const name = patient.name?.[0] ?? {};
  return [name.family, (name.given ?? []).join(" ")].filter(Boolean).join(", ") || "Without a name";
}

const described = (patient) => `${nameOf(patient)}, born ${patient.birthDate ?? "unknown"}`;

onClick("find", async () => {
  const name = at("patient-name").value.trim();
  if (!name) return;
  const found = await get(`/fhir/R4/Patient?_count=20&family=${encodeURIComponent(name)}`);
  const patients = (found.entry ?? []).map((entry) => entry.resource);
  at("found").textContent = patients.length ? `${patients.length} found.` : "Nobody found that you may see.";
  at("patients").replaceChildren(...patients.map((patient) =>
    item(choice("radio", "patient", patient.id, false), described(patient))));
});

async function decide(body) {
  const { redirect_to: address } = await post("/api/v1/consent", { request, ...body });
  location.replace(address);
}

// The app may ask that the person has just confirmed that it is them.
onSubmit("consent-form", () => sensitive(async () => {
  const [patient] = chosen("patient");
  await decide({ allow: true, scopes: chosen("scope"), ...(picks && patient ? { patient } : {}) });
}));

onClick("refuse", () => decide({ allow: false }));

load().then(watchSession).catch((error) => {
  if (error.status === 401 || error.code === "sign-in-unfinished") leaveForSignIn();
  else say(error.message);
});

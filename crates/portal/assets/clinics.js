// The clinics that the platform or a partner looks after, as the directory has them.

import { get } from "./api.js";
import { watchSession } from "./logoff.js";
import { at, line, onClick, say } from "./page.js";

const STATES = { provisioning: "being made", active: "in use", suspended: "suspended" };

let next = null;

function item(clinic) {
  const element = document.createElement("li");
  const partner = clinic.partner ? `, partner ${clinic.partner}` : "";
  const since = new Date(clinic.created).toLocaleDateString();
  element.append(
    line(`${clinic.name} (${clinic.slug}): ${STATES[clinic.state] ?? clinic.state}`),
    document.createElement("br"),
    line(`${clinic.hosts.join(", ") || "no host"}; region ${clinic.region}${partner}; since ${since}`),
  );
  return element;
}

async function page() {
  const answer = await get(`/api/v1/tenants${next ? `?after=${next}` : ""}`);
  at("clinics").append(...answer.tenants.map(item));
  next = answer.next ?? null;
  at("more").hidden = !next;
  at("no-clinics").hidden = at("clinics").children.length > 0;
}

onClick("more", page);

page().then(watchSession).catch((error) => {
  if (error.status === 401) location.assign("/sign-in");
  else say(error.message);
});

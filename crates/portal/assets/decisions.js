// What somebody asked for, began or set and somebody else decides on: roles, recoveries of accounts, whose word counts at sign-in.

import { get, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { at, button, done, line } from "./page.js";

const PROVIDER = "/api/v1/settings/identity-provider";
const IDENTIFIED = { photo_id: "by a document with a photograph", personally_known: "knows them" };

const when = (time) => new Date(time).toLocaleString();

/** Shows all of it. `page`: finding out who people are, what they and roles are called, handing something over, showing everything anew. */
export async function loadDecisions(page) {
  const [requests, recoveries, provider] = await Promise.all([
    get("/api/v1/role-requests").then((answer) => answer.requests),
    get("/api/v1/recoveries").then((answer) => answer.recoveries, none),
    get(PROVIDER).then((answer) => answer.provider, none),
  ]);
  const named = [
    ...requests.flatMap((request) => [request.person, request.requested_by]),
    ...recoveries.flatMap((recovery) => [recovery.person, recovery.begun_by]),
    provider?.set_by,
  ];
  await page.meet(named);
  at("requests").replaceChildren(...requests.map((request) => requestItem(request, page)));
  at("recoveries").replaceChildren(...recoveries.map((recovery) => recoveryItem(recovery, page)));
  const waiting = provider?.id && !provider.agreed ? [providerItem(provider, page)] : [];
  at("provider").replaceChildren(...waiting);
  at("no-decisions").hidden = requests.length + recoveries.length + waiting.length > 0;
}

/** Whoever may not see them sees none. */
function none(error) {
  if (error.status !== 403 || error.code === "fresh-factor-needed") throw error;
  return [];
}

function decision(text, about, page, action) {
  return button(text, `${text}: ${about}`, () => sensitive(async () => {
    await action();
    await page.reload();
    done(`${about}: done.`);
  }));
}

function requestItem(request, page) {
  const element = document.createElement("li");
  const about = `${page.title(request.role)} for ${request.app ? `the app ${request.app.client_name}` : page.name(request.person)}`;
  const path = `/api/v1/role-requests/${request.id}`;
  const joined = request.app ? ` It may ask for: ${request.app.scope}.` : request.invited_by ? "" : " Only once the person has joined.";
  element.append(
    line(`${about}: asked for by ${page.name(request.requested_by)} on ${when(request.requested)}, until ${when(request.expires)}.${joined}`),
    document.createElement("br"),
    decision("Agree", about, page, () => post(`${path}/approve`)),
    decision("Refuse", about, page, () => post(`${path}/reject`)),
  );
  return element;
}

function providerItem(provider, page) {
  const element = document.createElement("li");
  const words = [...provider.amr, ...provider.acr].join(", ") || "no words";
  element.append(line(`Sign-in by ${provider.issuer}, as ${provider.client_id}: set by ${page.name(provider.set_by)} on ${when(provider.set)}. If somebody else agrees, its word that it asked for two factors (${words}) counts here.`));
  if (provider.set_by !== page.me) {
    element.append(document.createElement("br"), decision("Agree", `Two factors of ${provider.issuer}`, page, () =>
      post(`${PROVIDER}/agree`, { id: provider.id })));
  }
  return element;
}

function recoveryItem(recovery, page) {
  const element = document.createElement("li");
  const who = page.name(recovery.person);
  const about = `Recovery of ${who}`;
  const path = `/api/v1/recoveries/${recovery.id}`;
  const stands = recovery.opens ? `both agreed; it can be used from ${when(recovery.opens)} on` : "somebody else has to agree";
  const known = recovery.identified_by ? `, who identified the patient (${IDENTIFIED[recovery.identified_by]}),` : "";
  element.append(line(`${about}: begun by ${page.name(recovery.begun_by)}${known} on ${when(recovery.begun)}; ${stands}. It lapses on ${when(recovery.lapses)}.`), document.createElement("br"));
  if (!recovery.opens) {
    element.append(decision("Agree", about, page, async () => {
      const approved = await post(`${path}/approve`);
      page.hand(`Give this link to ${who} yourself, once you know that it is them. With the code that whoever began it has, it works from ${when(approved.recovery.opens)} on. It is not shown again.`, approved.link);
    }));
  }
  element.append(decision("End it", about, page, () => post(`${path}/reject`)));
  return element;
}

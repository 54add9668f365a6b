// Whether one is linked to an account of the organisation's sign-in service.

import { call, get, post } from "./api.js";
import { at, done, onClick } from "./page.js";

/** Shows it where there is such a service, or a link to one. */
export async function loadFederation() {
  const { provider, linked } = await get("/api/v1/federation");
  at("federation").hidden = !provider && !linked;
  at("federation-state").textContent = linked
    ? `You are linked since ${new Date(linked).toLocaleString()}.`
    : "You are not linked. Once you are, you can sign in with it.";
  at("federation-link").hidden = !provider;
  at("federation-link").textContent = linked ? "Link another account" : `Link ${provider}`;
  at("federation-unlink").hidden = !linked;
}

/** Lets one link and unlink; `sensitive` does what may need a fresh factor. */
export function offerFederation(sensitive) {
  onClick("federation-link", () => sensitive(async () => {
    location.assign((await post("/api/v1/federation")).redirect_to);
  }));
  onClick("federation-unlink", () => sensitive(async () => {
    await call("DELETE", "/api/v1/federation");
    await loadFederation();
    done("You are not linked any more.");
    at("federation-title").scrollIntoView();
  }));
}

// The organisation's own sign-in service, for whoever administers it.

import { call, get } from "./api.js";
import { sensitive } from "./confirm.js";
import { at, done, onClick, onSubmit } from "./page.js";

const ADDRESS = "/api/v1/settings/identity-provider";
const words = (id) => at(id).value.split(/\s+/).filter(Boolean);

/** Shows what is set. */
export async function loadService() {
  const { provider, redirect_uri, jwks_uri } = await get(ADDRESS);
  at("service-redirect").textContent = redirect_uri;
  at("service-keys").textContent = jwks_uri;
  at("service-state").textContent = provider ? state(provider) : "There is none.";
  at("service-issuer").value = provider?.issuer ?? "";
  at("service-client").value = provider?.client_id ?? "";
  at("service-label").value = provider?.label ?? "";
  at("service-claim").value = provider?.subject_claim ?? "sub";
  at("service-amr").value = provider?.amr.join("\n") ?? "";
  at("service-acr").value = provider?.acr.join("\n") ?? "";
  at("service-secret").value = "";
  at("service-remove").hidden = !provider;
  // Not before: whatever somebody typed meanwhile would be lost.
  at("service").hidden = false;
}

function state(provider) {
  const by = provider.authentication === "private_key_jwt" ? "its key" : "a shared secret";
  const worth = provider.agreed
    ? `That its two factors count here was agreed to on ${new Date(provider.agreed).toLocaleString()}.`
    : "Until another administrator or a privacy officer agrees, on the page for people, everybody gives a second factor here.";
  return `Staff may sign in by ${provider.issuer}. It knows the organisation by ${by}. ${worth}`;
}

/** What the page says, as the API takes it: the whole of it. */
function decided() {
  const secret = at("service-secret").value;
  return {
    issuer: at("service-issuer").value.trim(),
    client_id: at("service-client").value.trim(),
    ...(secret ? { client_secret: secret } : {}),
    label: at("service-label").value.trim(),
    subject_claim: at("service-claim").value,
    amr: words("service-amr"),
    acr: words("service-acr"),
  };
}

onSubmit("service-form", () => sensitive(async () => {
  await call("PUT", ADDRESS, decided());
  await loadService();
  done("The sign-in service is set. Whoever had signed in by the one before is signed out.");
  at("done").scrollIntoView();
}));

onClick("service-remove", () => sensitive(async () => {
  await call("DELETE", ADDRESS);
  await loadService();
  done("There is no sign-in service any more.");
  at("done").scrollIntoView();
}));

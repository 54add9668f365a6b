// The tokens with which an identity provider keeps accounts (SCIM 2.0).

import { call, get, post } from "./api.js";
import { sensitive } from "./confirm.js";
import { at, button, done, line, onSubmit } from "./page.js";

const ADDRESS = "/api/v1/provisioning-tokens";
const when = (time) => new Date(time).toLocaleString();

/** Shows those that were not revoked. */
export async function loadTokens() {
  at("scim-base").textContent = `${location.origin}/scim/v2`;
  const { tokens } = await get(ADDRESS);
  at("tokens").replaceChildren(...tokens.map(item));
  at("no-tokens").hidden = tokens.length > 0;
}

function item(token) {
  const element = document.createElement("li");
  const used = token.last_used ? `last used ${when(token.last_used)}` : "not used yet";
  const over = Date.parse(token.expires) < Date.now() ? "is over since" : "is good until";
  const stopped = token.works ? "" : " It does not work: whoever made it does not run the organisation any more. Make another one.";
  element.append(line(`${token.name}: ${used}; ${over} ${when(token.expires)}.${stopped}`), document.createElement("br"));
  element.append(button("Revoke it", `Revoke the token ${token.name}`, () => sensitive(async () => {
    await call("DELETE", `${ADDRESS}/${token.id}`);
    await loadTokens();
    done(`The token ${token.name} is dead.`);
    at("tokens-title").focus();
  })));
  return element;
}

onSubmit("token-form", () => sensitive(async () => {
  const made = await post(ADDRESS, { name: at("token-name").value, days: Number(at("token-days").value) });
  at("token-form").reset();
  await loadTokens();
  at("token-text").textContent = made.token;
  at("token-shown").hidden = false;
  done(`The token ${made.name} is made.`);
}));

// What the organisation decides about the ways in.

import { call, get } from "./api.js";
import { sensitive } from "./confirm.js";
import { watchSession } from "./logoff.js";
import { at, button, done, line, onClick, onSubmit, say } from "./page.js";
import { loadTokens } from "./provisioning.js";
import { loadService } from "./service.js";

const ADDRESS = "/api/v1/settings/sign-in";
const choices = [...document.querySelectorAll("select[data-role]")];
/** The trusted makers, as they would be decided on. */
let makers = [];
/** Which decision is shown: what somebody else decides meanwhile is not overwritten. */
let version;

function showMakers() {
  at("makers").replaceChildren(...makers.map(makerItem));
  at("no-makers").hidden = makers.length > 0;
}

function makerItem(maker, position) {
  const element = document.createElement("li");
  const models = maker.models.join(", ");
  element.append(line(`Models ${models}`), document.createElement("br"), button("Take it out", `Take out the maker of ${models}`, () => {
    makers.splice(position, 1);
    showMakers();
    at("makers-title").focus();
  }));
  return element;
}

onClick("maker-add", () => {
  const models = at("maker-models").value.split(/\s+/).filter(Boolean);
  const root = at("maker-root").value.trim();
  if (!root || !models.length) throw new Error("A maker has a root certificate and one model at least.");
  makers.push({ root: `${root}\n`, models });
  showMakers();
  for (const id of ["maker-root", "maker-models"]) at(id).value = "";
});

async function load() {
  const settings = await get(ADDRESS);
  for (const choice of choices) choice.value = settings.passkeys[choice.dataset.role] ?? "any";
  makers = settings.makers;
  version = settings.version;
  showMakers();
  at("confirmed-devices").checked = settings.confirmed_devices;
  at("passwords").checked = settings.passwords;
  at("hold").value = settings.recovery_hold_hours;
  const longer = settings.longer_hold;
  at("longer-hold").hidden = !longer;
  if (longer) at("longer-hold").textContent = `Until ${new Date(longer.until).toLocaleString()} it is still ${longer.hours} hours, so that nobody shortens it for a recovery under way.`;
  // Not before: whatever somebody chose meanwhile would be lost.
  at("settings-form").hidden = false;
}

/** What the page says, as the API takes it: the whole of it. */
function decided() {
  const strict = choices.filter((choice) => choice.value !== "any").map((choice) => [choice.dataset.role, choice.value]);
  return {
    passkeys: Object.fromEntries(strict),
    makers,
    confirmed_devices: at("confirmed-devices").checked,
    passwords: at("passwords").checked,
    recovery_hold_hours: Number(at("hold").value),
    version,
  };
}

onSubmit("settings-form", () => sensitive(async () => {
  await call("PUT", ADDRESS, decided());
  await load();
  done("It is decided, and holds from now on.");
  at("done").scrollIntoView();
}));

sensitive(() => Promise.all([load(), loadTokens(), loadService()])).then(watchSession).catch((error) => {
  if (error.status === 401) location.assign("/sign-in");
  else say(error.message);
});

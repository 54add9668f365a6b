// What somebody should know of their account: what happened to it, a recovery under way, the devices that it is used from.

import { call, get, pages, post } from "./api.js";
import { at, button, done, line, onClick, run } from "./page.js";

const WORDS = {
  new_device: "Signed in from a new device",
  factor_added: "A way to sign in was set up",
  factor_removed: "A way to sign in was removed",
  recovery_codes_made: "New recovery codes were made",
  recovery_code_used: "A recovery code was used",
  app_allowed: "An app was let in",
  role_given: "A role was given",
  role_taken: "A role was taken",
  recovery_begun: "An administrator began to recover this account",
  recovery_approved: "Another administrator approved the recovery of this account",
  recovery_ended: "The recovery of this account ended",
  devices_cleared: "An administrator took back that your devices are confirmed",
  settings_changed: "Another administrator changed how people sign in",
  provider_linked: "This account was linked to the organisation's sign-in service",
  provider_changed: "An administrator set another sign-in service for the organisation",
  provider_agreed: "Somebody agreed that two factors of the sign-in service count here",
  provisioning_token_made: "An administrator made a token with which an identity provider keeps accounts",
  provisioning_token_stopped: "Tokens of an identity provider work no more: whoever made them does not run the organisation any more. Make new ones",
};

const FACTORS = { password: "password", totp: "authenticator app", passkey: "passkey", provider: "sign-in service" };

const when = (time) => new Date(time).toLocaleString();

/** Shows all of it; `sensitive` does what may need a fresh factor. */
export async function loadAccount(sensitive) {
  await Promise.all([loadNotices(), loadRecovery(), loadDevices(sensitive)]);
}

async function loadNotices() {
  const notices = [];
  for await (const page of pages("/api/v1/notices")) {
    notices.push(...page.notices);
    // Further back there is nothing new: they are seen from the oldest on.
    if (page.notices.at(-1)?.seen) break;
  }
  const unseen = notices.filter((notice) => !notice.seen);
  // Every new one is shown: the button says of all of them that they were seen.
  const shown = notices.filter((notice, index) => index < 10 || !notice.seen);
  at("notices").replaceChildren(...shown.map(noticeItem));
  at("notices-state").textContent = unseen.length ? `${unseen.length} new` : "Nothing new.";
  const button = at("notices-seen");
  button.hidden = unseen.length === 0;
  button.value = notices[0]?.id ?? "";
}

function noticeItem(notice) {
  const about = notice.about ? `: ${FACTORS[notice.about] ?? notice.about.replaceAll("_", " ")}` : "";
  return line(`${notice.seen ? "" : "New. "}${when(notice.at)}. ${WORDS[notice.kind] ?? notice.kind}${about}.`, "li");
}

async function loadRecovery() {
  const { recovery } = await get("/api/v1/recovery");
  at("recovery").hidden = !recovery;
  if (!recovery) return;
  at("recovery-text").textContent = recovery.opens
    ? `Two administrators agreed that you lost your ways to sign in. From ${when(recovery.opens)} on, whoever has what they handed over can replace all of them.`
    : "An administrator says that you lost your ways to sign in. Another one has to agree.";
  at("recovery-cancel").onclick = () => run(at("recovery-cancel"), async () => {
    await call("DELETE", "/api/v1/recovery");
    await Promise.all([loadRecovery(), loadNotices()]);
    done("The recovery has ended. Nothing was changed.");
  });
}

async function loadDevices(sensitive) {
  const { devices } = await get("/api/v1/devices");
  const again = () => loadDevices(sensitive);
  at("devices").replaceChildren(...devices.map((device) => deviceItem(device, sensitive, again)));
}

function deviceItem(device, sensitive, again) {
  const element = document.createElement("li");
  const confirmed = device.confirmed ? "Confirmed." : "Not confirmed.";
  const text = `${device.current ? "This device. " : ""}${device.name}: last signed in ${when(device.last_seen)}. ${confirmed}`;
  element.append(line(text), document.createElement("br"));
  const label = line("Name", "label");
  const name = document.createElement("input");
  name.type = "text";
  name.id = `device-${device.id}`;
  name.maxLength = 60;
  name.autocomplete = "off";
  name.value = device.name;
  label.htmlFor = name.id;
  const path = `/api/v1/devices/${device.id}`;
  element.append(label, name, act("Rename", device, async () => {
    await call("PUT", path, { name: name.value });
    await again();
    done("The device has a new name.");
  }));
  if (!device.confirmed) {
    element.append(act("Confirm", device, () => sensitive(async () => {
      await post(`${path}/confirm`);
      await again();
      done("The device is confirmed.");
    })));
  }
  element.append(act("Forget", device, () => sensitive(async () => {
    await call("DELETE", path);
    if (device.current) location.assign("/sign-in");
    await again();
    done("The device is forgotten, and its sessions have ended.");
  })));
  return element;
}

const act = (what, device, action) => button(`${what} it`, `${what} the device ${device.name}`, action);

onClick("notices-seen", async () => {
  await post("/api/v1/notices/seen", { until: at("notices-seen").value });
  await loadNotices();
});

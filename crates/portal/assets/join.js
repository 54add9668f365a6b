// Joining by invitation: password, code generator, recovery codes, and a passkey for those who want one.

import { post } from "./api.js";
import { at, onClick, onSubmit, show, showCodes } from "./page.js";
import { addPasskey } from "./passkey.js";

// The fragment is never sent to a server; it is taken out of the address bar and of the history at once.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (!token) {
  at("intro-text").textContent =
    "If you have begun already, continue here. Otherwise open the link of your invitation again.";
  at("begin").textContent = "Continue";
}

onClick("begin", async () => {
  // Whoever goes on has a session that says how far they are; whether there are passwords here is said with the first step.
  const step = token ? await post("/api/v1/invites/accept", { token }) : null;
  if (step?.enrolled?.passwords === false) return passkeyOnly();
  show("password-step", "intro");
  at("password").focus();
});

/** Where the organisation signs in without passwords. */
function passkeyOnly() {
  at("passkey-title").textContent = "Set up a passkey";
  at("passkey-text").textContent = "A passkey signs you in with your fingerprint, face or device PIN. It is the way in here: there are no passwords.";
  at("passkey-later").hidden = true;
  show("passkey-step", "intro", "password-step");
}

onSubmit("password-form", async () => {
  try {
    await post("/api/v1/enrol/password", { password: at("password").value });
  } catch (error) {
    if (error.code === "passwords-not-used") return passkeyOnly();
    throw error;
  }
  at("password").value = "";
  const setup = await post("/api/v1/enrol/totp/begin");
  at("qr").src = `data:image/svg+xml;base64,${btoa(setup.qr_svg)}`;
  at("secret").textContent = setup.secret.replace(/(.{4})/g, "$1 ").trim();
  show("totp-step", "password-step");
});

onSubmit("code-form", async () => {
  const code = at("code").value;
  at("code").value = "";
  await post("/api/v1/enrol/totp/confirm", { code });
  at("qr").removeAttribute("src");
  at("secret").textContent = "";
  const made = await post("/api/v1/enrol/recovery-codes");
  showCodes(made.codes);
  show("codes-step", "totp-step");
});

onClick("kept", async () => {
  showCodes([]);
  show("passkey-step", "codes-step");
});

onSubmit("passkey-form", async () => {
  await addPasskey(at("passkey-name").value);
  location.assign("/");
});

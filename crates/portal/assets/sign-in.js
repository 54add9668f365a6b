// Signing in: password and then a second factor, or a passkey alone.

import { post } from "./api.js";
import { AWAY } from "./logoff.js";
import { at, onClick, onSubmit, show } from "./page.js";
import { usePasskey } from "./passkey.js";
import { goOn as enter } from "./return.js";

at("was-away").hidden = location.hash !== AWAY;

/** Asks for one of the factors that the person has. */
function askFor(factors) {
  const has = (factor) => factors.includes(factor);
  at("code-form").hidden = !has("totp");
  at("second-passkey").hidden = !has("passkey");
  at("recovery").hidden = !has("recovery_code");
  show("second", "first");
  if (has("totp")) at("code").focus();
}

// Whom the organisation's sign-in service sent back: with two factors, or with one.
if (location.hash === "#in") enter();
const second = /^#second=([a-z_,]+)$/.exec(location.hash);
if (second) {
  history.replaceState(null, "", location.pathname);
  askFor(second[1].split(","));
}

// The people of the platform and of partners have a passkey, and no password.
if (at("password-form")) onSubmit("password-form", async () => {
  const step = await post("/api/v1/sign-in/password", { login: at("login").value, password: at("password").value });
  at("password").value = "";
  askFor(step.factors);
});

onSubmit("code-form", async () => {
  const code = at("code").value;
  at("code").value = "";
  at("code").focus();
  await post("/api/v1/sign-in/totp", { code });
  enter();
});

onSubmit("recovery-form", async () => {
  await post("/api/v1/sign-in/recovery-code", { code: at("recovery-code").value });
  enter();
});

onClick("passkey", async () => {
  await usePasskey("/api/v1/sign-in/passkey");
  enter();
});

onClick("second-passkey", async () => {
  await usePasskey("/api/v1/step-up/passkey");
  enter();
});

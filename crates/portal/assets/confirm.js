// Acts that need a fresh factor: it is asked for when the API says so, and the act done again.

import { post } from "./api.js";
import { at, onClick, onSubmit, show } from "./page.js";
import { usePasskey } from "./passkey.js";

/** What waits for a confirmation. */
let waiting = null;

/** Does something that may need a fresh factor; then it is asked for, and the action repeated. */
export async function sensitive(action) {
  try {
    await action();
  } catch (error) {
    if (error.code !== "fresh-factor-needed") throw error;
    waiting = action;
    show("confirm");
    at("confirm-code").focus();
  }
}

async function confirmed() {
  at("confirm").hidden = true;
  const action = waiting;
  waiting = null;
  if (action) await action();
}

onSubmit("confirm-form", async () => {
  const code = at("confirm-code").value;
  at("confirm-code").value = "";
  await post("/api/v1/sign-in/totp", { code });
  await confirmed();
});

onClick("confirm-passkey", async () => {
  await usePasskey("/api/v1/step-up/passkey");
  await confirmed();
});

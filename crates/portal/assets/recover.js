// Redeeming the recovery of an account: the link of one administrator, the code of another.

import { post } from "./api.js";
import { at, onSubmit, say } from "./page.js";

// The fragment is never sent to a server; it is taken out of the address bar and of the history at once.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (!token) say("Open the link that an administrator gave you.");

onSubmit("recover-form", async () => {
  const code = at("recovery-code").value;
  await post("/api/v1/recovery/redeem", { token, code });
  at("recovery-code").value = "";
  location.assign("/join");
});

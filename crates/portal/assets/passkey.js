// The browser's half of passkeys (WebAuthn level 3).

import { post } from "./api.js";

const supported = () => "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential;

function refuse(error) {
  if (error.name === "NotAllowedError" || error.name === "AbortError") {
    return new Error("The passkey was not used. Try again, or use another way.");
  }
  if (error.name === "InvalidStateError") {
    return new Error("This device has a passkey for this account already.");
  }
  return error;
}

/** Uses a passkey: begins at `path`/begin and finishes at `path`/finish. */
export async function usePasskey(path) {
  if (!supported()) throw new Error("This browser has no passkeys. Use another way.");
  const begun = await post(`${path}/begin`);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options);
  let credential;
  try {
    credential = await navigator.credentials.get({ publicKey });
  } catch (error) {
    throw refuse(error);
  }
  return post(`${path}/finish`, { ceremony: begun.ceremony, credential: credential.toJSON() });
}

/** Makes a passkey and registers it. */
export async function addPasskey(name) {
  if (!supported()) throw new Error("This browser has no passkeys. Use another one, or continue without.");
  const begun = await post("/api/v1/enrol/passkey/begin");
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options);
  let credential;
  try {
    credential = await navigator.credentials.create({ publicKey });
  } catch (error) {
    throw refuse(error);
  }
  return post("/api/v1/enrol/passkey/finish", { ceremony: begun.ceremony, credential: credential.toJSON(), name });
}

// What the browser runs have in common: codes of an authenticator app, and what every page has to be.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

const STEP = 30_000;
export const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };

/** The code of an authenticator app (RFC 6238: SHA-1, six digits, 30 seconds). */
export function totp(secret, at) {
  let bits = "";
  for (const character of secret.replace(/=+$/, "").toUpperCase()) {
    bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(character).toString(2).padStart(5, "0");
  }
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / STEP)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const offset = mac[19] & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Waits for the next code: each is good once. */
export const nextStep = () => wait(STEP - (Date.now() % STEP) + 200);

/** Every visible control has a name, nothing is wider than the window, one h1. */
export async function check(page, where) {
  const faults = await page.evaluate(() => {
    const faults = [];
    if (document.documentElement.lang !== "en") faults.push("no language");
    if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
    if (document.documentElement.scrollWidth > window.innerWidth) faults.push("wider than the window");
    for (const field of document.querySelectorAll("input, select, textarea")) {
      if (field.offsetParent && !field.labels.length) faults.push(`no label: ${field.id}`);
    }
    for (const button of document.querySelectorAll("button")) {
      const box = button.getBoundingClientRect();
      if (button.offsetParent && !button.textContent.trim()) faults.push(`no text: ${button.id}`);
      if (button.offsetParent && box.height < 40) faults.push(`too small: ${button.id}`);
    }
    return faults;
  });
  assert.deepEqual(faults, [], where);
}

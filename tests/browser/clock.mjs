// The server's clock, which stands still: `advance SECONDS` on standard output asks whoever started the run to move it; a line on
// standard input says that it was. The first line of standard input is what it shows, in milliseconds.

import { createInterface } from "node:readline";

import { totp } from "./shared.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let now = Number((await lines.next()).value);

/** Lets time pass for the server. */
export async function pass(seconds) {
  console.log(`advance ${seconds}`);
  await lines.next();
  now += seconds * 1000;
}

/** The code that somebody's authenticator app shows next: each is good once. */
export async function nextCode(person) {
  await pass(30);
  return totp(person.totp_secret, now);
}

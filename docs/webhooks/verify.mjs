// Verifies a webhook of tickerd; needs Node.js 18 or newer and nothing else.
//
// In a receiver: call verify() with the request's headers and its body as it came, before anything has parsed it
// (Express: express.raw({ type: "application/json" })).
// By hand: WEBHOOK_SECRET=whsec_… node verify.mjs ID TIMESTAMP SIGNATURE < body

import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

const WINDOW_S = 5 * 60;

/** Returns the message's id, or throws. Header names are in lower case, the body is a Buffer. */
export function verify(secret, headers, body, now = Date.now() / 1000) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!id || !/^[0-9]{1,12}$/.test(timestamp)) throw new Error("no id or no timestamp");
  if (Math.abs(now - Number(timestamp)) > WINDOW_S) throw new Error("too old, or this machine's clock is wrong");
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // several while a secret is replaced: one that fits is enough
  const fits = (headers["webhook-signature"] ?? "").split(" ").filter((one) => {
    const given = Buffer.from(one.startsWith("v1,") ? one.slice(3) : "", "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (fits.length === 0) throw new Error("no signature fits");
  return id;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [id, timestamp, signature] = process.argv.slice(2);
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  try {
    verify(process.env.WEBHOOK_SECRET, headers, readFileSync(0));
    console.log("genuine");
  } catch (error) {
    console.error(`refused: ${error.message}`);
    process.exitCode = 1;
  }
}

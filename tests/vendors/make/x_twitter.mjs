// twitter-autohook verifies: [{header, secret, body}] in, [true] out.
import { createRequire } from "node:module";

const { validateSignature } = createRequire(import.meta.url)("twitter-autohook");
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const answers = JSON.parse(Buffer.concat(chunks).toString()).map(({ header, secret, body }) =>
  validateSignature({ "x-twitter-webhooks-signature": header }, { consumer_secret: secret }, body),
);
console.log(JSON.stringify(answers));

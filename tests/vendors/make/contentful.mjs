// Contentful's own library: {"sign": request} or {"verify": request}, each with a secret, answered with JSON.
import { readFileSync } from "node:fs";
import { signRequest, verifyRequest } from "@contentful/node-apps-toolkit";

const { secret, sign, verify, timestamp, now } = JSON.parse(readFileSync(0, "utf8"));
if (now) Date.now = () => now;
console.log(JSON.stringify(sign ? signRequest(secret, sign, timestamp) : verifyRequest(secret, verify)));

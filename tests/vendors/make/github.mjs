// GitHub's own library: {"sign": [secret, body]} or {"verify": [secret, body, signature]}, answered with JSON.
import { readFileSync } from "node:fs";
import { sign, verify } from "@octokit/webhooks-methods";

const asked = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.sign ? await sign(...asked.sign) : await verify(...asked.verify)));

// Notion's own library signs {"body", "verificationToken"}, and verifies it where there is a "signature".
import { readFileSync } from "node:fs";
import { signWebhookPayload, verifyWebhookSignature } from "@notionhq/client";

const asked = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await (asked.signature ? verifyWebhookSignature : signWebhookPayload)(asked)));

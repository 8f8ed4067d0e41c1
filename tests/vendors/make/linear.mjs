// Whether Linear's own library takes {"secret", "signature", "body", "at"} at that time (in ms), answered with JSON.
import { readFileSync } from "node:fs";
import { LinearWebhookClient } from "@linear/sdk/webhooks";

const { secret, signature, body, at } = JSON.parse(readFileSync(0, "utf8"));
Date.now = () => at;
console.log(JSON.stringify(new LinearWebhookClient(secret).verify(Buffer.from(body), signature)));

// Whether Shopify's own library takes {"secret", "headers", "body"}, answered with JSON.
import { readFileSync } from "node:fs";
import "@shopify/shopify-api/adapters/node";
import { LogSeverity, shopifyApi } from "@shopify/shopify-api";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
const shopify = shopifyApi({
  apiKey: "key",
  apiSecretKey: secret,
  apiVersion: "2025-10",
  scopes: [],
  hostName: "hooks.example.com",
  isEmbeddedApp: false,
  logger: { level: LogSeverity.Error },
});
const rawRequest = { method: "POST", url: "/webhooks/shopify", headers };
const { valid } = await shopify.webhooks.validate({ rawBody: body, rawRequest, rawResponse: {} });
console.log(JSON.stringify(valid));

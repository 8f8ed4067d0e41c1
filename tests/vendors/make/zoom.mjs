// What Zoom's own library answers to {"secret", "headers", "body"}: the status and the body, as JSON.
import { readFileSync } from "node:fs";
import { AwsLambdaReceiver } from "@zoom/rivet/chatbot";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
console.debug = () => {}; // it prints whole requests
const receive = new AwsLambdaReceiver({ webhooksSecretToken: secret }).start();
const answer = await receive({ headers, body, isBase64Encoded: false }, {});
console.log(JSON.stringify([answer.statusCode, answer.body]));

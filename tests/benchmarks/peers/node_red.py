"""Node-RED's side: its settings, and a flow that checks signature and time, answers, and keeps nothing."""

from tests.benchmarks.bodies import PATH

SETTINGS = {
    "httpAdminRoot": False,
    "uiHost": "127.0.0.1",
    "functionExternalModules": True,
    "logging": {"console": {"level": "warn"}},
}
_CHECK = """
const [t, v1] = msg.req.headers["stripe-signature"].split(",").map(part => part.split("=")[1]);
const expected = crypto.createHmac("sha256", env.get("BENCHMARK_SECRET")).update(t + ".").update(msg.payload).digest();
const given = Buffer.from(v1, "hex");
const genuine = given.length === expected.length && crypto.timingSafeEqual(given, expected);
msg.statusCode = genuine && Math.abs(Date.now() / 1000 - t) <= 300 ? 200 : 400;
msg.payload = "";
return msg;
"""
FLOW = [
    {"id": "flow", "type": "tab", "label": "webhooks"},
    {"id": "ready", "type": "http in", "z": "flow", "url": "/readyz", "method": "get", "wires": [["answer"]]},
    {
        "id": "delivery", "type": "http in", "z": "flow", "url": PATH, "method": "post", "skipBodyParsing": True,
        "wires": [["check"]],
    },
    {
        "id": "check", "type": "function", "z": "flow", "func": _CHECK, "outputs": 1,
        "libs": [{"var": "crypto", "module": "crypto"}], "wires": [["answer"]],
    },
    {"id": "answer", "type": "http response", "z": "flow", "wires": []},
]  # fmt: skip

"""Every vendor, from `postern init` to a handled event: one project with a source for each preset, served once."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from receiver.cli.templates import new_source
from receiver.fixture import Fixture
from receiver.schemes.presets import preset_names
from tests.receiver.cli.conftest import postern
from tests.support.postern import serving
from tests.support.until import until

SOURCES = [text for name in preset_names() for text in ("--source", name)]

# What the vendors call the events of the fixtures, where that stands in the body.
IN_THE_BODY = {
    "adyen": "AUTHORISATION:8825408195409505",
    "adyen-platform": "38EBJ15RTR0NN8TW",
    "auth0-logstream": "90020251009085316000000000000000000000000",
    "aws-sns": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "azure-eventgrid": "93902694-901e-008f-6f95-7153a806873c",
    "box": "0f1b5e2c-7d3a-4c69-9a55-3a6b8c2d4e10",
    "checkout.com": "evt_k2v5zq4d7mzuxhq3n6w8r1t0ya",
    "cloudevents": "A234-1234-1234:/mill/gate",
    "coinbase-commerce": "24934862-d980-46cb-9402-43c81b0cdba6",
    "datadog": "2613035672216391172",
    "docusign": "4af4ed3c-6f6d-4c8a-a2c2-2d0b0f2e6f3b:envelope-completed:2025-10-09T08:53:16.1234567Z",
    "gocardless": "EV01K73G2XABCD EV01K73G2XEFGH",
    "google-pubsub": "16400881042551233",
    "hubspot-v3": "3181526809 1274035502",
    "intercom": "notif_78c122d0-23ba-11e4-9464-79b01267cc2e",
    "intuit": "88cd52aa-33b6-4351-9aa4-47572edbd068",
    "line": "01H810YECXQQZ37VAXPF6H9E6T",
    "mailgun": "hTWCTD81RtiDN7larkspur",
    "meta": "wamid.A1==",
    "microsoft-graph": "lsgTZMr9KwAAA",
    "notion": "367cba44-b6f3-4c92-81e7-6a2e9659efd4",
    "okta": "f790999f-fe87-467a-9880-6982a583986c",
    "paddle": "evt_01k73g2wqv5s2m9z7h4x8c1b3d",
    "pagerduty": "5ac64822-4adc-4fda-ade0-410becf0de4f",
    "paypal": "WH-58D329510W468432D-8HN650336L201105X",
    "sendgrid": "cHJvY2Vzc2VkLWxhcmtzcHVyLTE ZGVsaXZlcmVkLWxhcmtzcHVyLTI Ym91bmNlLWxhcmtzcHVyLTM",
    "slack": "Ev0YHAD932R3",
    "square": "6a8f5f28-54a1-4eb0-a98a-3111513fd4fc",
    "stripe": "evt_3PosternaOj129uo0MtPv9Av",
    "telegram": "10000",
    "typeform": "LtWXD3crgy",
    "workos": "event_01K73G2X5M8Q0N4V6B7C9D1E2F",
    "x-twitter": "1050118621198921728",
    "zendesk": "cbe4028c-7239-495d-b020-f22348516046",
}
# There is no id: it is made of the bytes, of the whole body or of an item.
NOWHERE = ("braintree", "calendly", "discord", "lemonsqueezy", "plaid", "rfc9421", "zoom")
ITEMS_WITHOUT = {"asana": ("events",), "dropbox": ("list_folder", "accounts"), "xero": ("events",)}
# With every other vendor a header has it, and `send` gives a fixture always the same.

# Of batches of several, in their order; all others have the type that their fixture is called by.
TYPES = {
    "gocardless": ["payments.confirmed", "mandates.active"],
    "hubspot-v3": ["contact.propertyChange", "contact.creation"],
    "sendgrid": ["processed", "delivered", "bounce"],
}


class Project:
    """Served; `rows` are those of a command typed in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fixtures = {name: new_source(name).example.fixture for name in preset_names()}

    def rows(self, *arguments: str, **environ: str) -> list[dict[str, Any]]:
        ended = postern(self.folder, *arguments, "--json", **environ)
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def send(self, **environ: str) -> list[dict[str, Any]]:
        return self.rows("send", *(fixture.name for fixture in self.fixtures.values()), **environ)

    def events(self) -> dict[str, list[dict[str, Any]]]:
        """By source, the oldest first."""
        rows = self.rows("events", "list", "--limit", "500")
        return {name: [row for row in reversed(rows) if row["source"] == name] for name in preset_names()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    made = postern(folder, "init", ".", *SOURCES)
    assert (made.returncode, made.stderr) == (0, "")
    with serving(folder):
        yield Project(folder)


def test_each_presets_fixture_is_accepted_handled_and_then_a_duplicate(project: Project) -> None:
    first, second = project.send(), project.send()
    assert {row["source"] for row in first} == {*preset_names()}
    assert [row for row in first if (row["http_status"], row["status"]) != (200, "accepted")] == []
    assert [row for row in second if (row["http_status"], row["status"]) != (200, "duplicate")] == []
    assert [row["id"] for row in second] == [row["id"] for row in first]
    events = until(lambda: _all_done(project.events()), what="handled events")
    assert events is not None
    for name, rows in events.items():
        fixture = project.fixtures[name]
        assert [row["type"] for row in rows] == TYPES.get(name, [fixture.type])
        assert [row["external_id"] for row in rows] == ids(name, fixture, rows)


def _all_done(events: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]] | None:
    rows = [row for rows in events.values() for row in rows]
    assert [row for row in rows if row["status"] not in ("pending", "done")] == []
    return events if all(row["status"] == "done" for row in rows) else None


def ids(name: str, fixture: Fixture, rows: Sequence[dict[str, Any]]) -> list[str]:
    """What its events have to be called."""
    if name in IN_THE_BODY:
        return IN_THE_BODY[name].split()
    if name in NOWHERE:
        return [f"sha256:{row['sha256']}" for row in rows]
    if name in ITEMS_WITHOUT:
        items = json.loads(fixture.body)
        for step in ITEMS_WITHOUT[name]:
            items = items[step]
        texts = [json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items]
        return [f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
    return [fixture.header_id(name)]


def test_with_a_secret_that_the_receiver_does_not_know_each_is_refused(project: Project, tmp_path: Path) -> None:
    assert postern(tmp_path, "init", ".", *SOURCES).returncode == 0  # the same, with other secrets
    lines = (tmp_path / ".env").read_text().splitlines()
    others = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    rows = project.send(**others)
    assert [row for row in rows if row["http_status"] != 401] == []
    assert len(rows) == len(preset_names())

    def refused() -> dict[str, str]:
        return {row["source"]: row["code"] for row in project.rows("rejections", "list", "--limit", "500")}

    until(lambda: len(refused()) == len(preset_names()), 20, "the rejections, which are written about once a second")
    assert refused() == dict.fromkeys(preset_names(), "signature_mismatch")

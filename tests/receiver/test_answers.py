"""Answers that are not our own, over real sockets: what a source prescribes, and what a handshake sets going."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from receiver.schemes import Key, Reply, Request
from receiver.schemes.hmac import Hmac
from tests.support import sender
from tests.support.inside import Inside, inside
from tests.support.rows import count
from tests.support.until import until
from tests.support.upstream import Call, upstream
from tests.support.wire import Answer, get, post, request, wire

GITHUB = f"""
preset = "github"
secrets = ["literal:{sender.SECRET}"]
"""
SOURCES = f"""
[sources.wordy]
answer = {{status = 202, body = "[accepted]", type = "text/x-acme", refused = "no"}}
{GITHUB}
[sources.silent]
answer = {{status = 204, refused = ""}}
{GITHUB}
[sources.ours]
answer = {{body = "ok"}}
{GITHUB}
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("answers"), SOURCES) as it:
        yield it


def send(receiver: Inside, source: str, id: str, secret: str = sender.SECRET) -> Answer:
    return post(receiver.port, f"/webhooks/{source}", b"{}", sender.github(b"{}", id, secret=secret))


def test_a_stored_event_is_answered_as_prescribed_and_so_is_a_duplicate(receiver: Inside) -> None:
    for _ in range(2):
        answer = send(receiver, "wordy", "w1")
        assert (answer.status, answer.headers["content-type"], answer.body) == (202, "text/x-acme", b"[accepted]")
    assert count(receiver.file, "event", "external_id = 'w1'") == 1


def test_a_204_has_neither_a_body_nor_a_length_and_the_connection_goes_on(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        for id in ("s1", "s2"):
            connection.send(request("/webhooks/silent", b"{}", sender.github(b"{}", id)))
            answer = connection.answer()
            assert (answer.status, answer.body) == (204, b"")
            assert not answer.headers.keys() & {"content-length", "content-type", "connection"}
    assert count(receiver.file, "event", "source = 'silent'") == 2


@pytest.mark.parametrize(
    ("source", "kind", "body"), [("wordy", "text/x-acme", b"no"), ("silent", None, b"")], ids=["wordy", "silent"]
)
def test_a_refusal_has_the_prescribed_body_and_its_own_status(
    receiver: Inside, source: str, kind: str | None, body: bytes
) -> None:
    forged = send(receiver, source, "f1", "another secret")
    wrong = get(receiver.port, f"/webhooks/{source}")
    large = post(receiver.port, f"/webhooks/{source}", b"", [("Content-Encoding", "gzip")])
    assert [answer.status for answer in (forged, wrong, large)] == [401, 405, 415]
    assert wrong.headers["allow"] == "POST"
    for answer in (forged, wrong, large):
        assert (answer.headers.get("content-type"), answer.body) == (kind, body)


def test_where_none_is_prescribed_a_refusal_is_ours(receiver: Inside) -> None:
    assert send(receiver, "ours", "o1").body == b"ok"
    assert send(receiver, "ours", "o2", "another secret").code == "signature_mismatch"


# ── what is fetched behind an answer ──


class Confirming(Hmac):
    """A scheme that has an address fetched, as Amazon SNS wants it."""

    def greet(self, request: Request, keys: Sequence[Key], *, verified: bool) -> Reply | None:
        address = request.headers.get("x-confirm")
        return Reply(200, b"", (), call=address.decode()) if address and verified else None

    def __init__(self, keys: dict[str, object], where: str) -> None:
        super().__init__(keys, where)
        self.greets = frozenset({"POST", "GET"})


CONFIRMING = f"""
[sources.confirming]
scheme = "tests.receiver.test_answers:Confirming"
secrets = ["literal:{sender.SECRET}"]
signature = "header:X-Hub-Signature-256"
signature_format = "sha256={{signature}}"
"""


def confirmed(call: Call) -> tuple[int, dict[str, str]]:
    return 200, {}


def test_an_address_is_fetched_behind_the_answer_of_a_signed_handshake_only(tmp_path: Path) -> None:
    with upstream(confirmed) as vendor, inside(tmp_path, CONFIRMING) as receiver:
        confirm = [("X-Confirm", f"{vendor.url}/confirm")]
        refused = post(receiver.port, "/webhooks/confirming", b"{}", confirm)
        assert refused.code == "signature_missing"
        answer = post(receiver.port, "/webhooks/confirming", b"{}", [*confirm, *sender.github(b"{}", "1")])
        assert (answer.status, answer.body) == (200, b"")
        until(lambda: vendor.calls, what="the call")
        assert [(call.method, call.path) for call in vendor.calls] == [("GET", "/confirm")]
        assert count(receiver.file, "event") == 0


def test_what_a_scheme_does_not_answer_is_no_event_unless_it_was_posted(tmp_path: Path) -> None:
    with inside(tmp_path, CONFIRMING) as receiver:
        headers = sender.github(b"", "1")
        assert get(receiver.port, "/webhooks/confirming", headers).code == "handshake_malformed"
        assert count(receiver.file, "event") == 0

from processors.handlers.slack import answer_mention
from processors.testing import deliver

MENTION = {"type": "app_mention", "channel": "C1", "user": "U1", "ts": "1773738900.774029"}


def test_a_mention_is_answered_in_its_thread() -> None:
    result = deliver(answer_mention, "slack/app_mention", apis={"slack": [(200, {"ok": True})]})
    (call,) = result.calls
    assert (result.state, call.path) == ("succeeded", "/chat.postMessage")
    assert (call.json()["channel"], call.json()["thread_ts"]) == ("C0L78GT0SQK", "1773738612.119879")
    assert call.json()["text"].startswith("<@U0KJAO5BSDO> ")


def test_a_mention_outside_of_a_thread_begins_one() -> None:
    envelope = {"event_id": "Ev1", "event": MENTION}
    result = deliver(answer_mention, envelope, apis={"slack": [(200, {"ok": True})]})
    assert result.calls[0].json()["thread_ts"] == MENTION["ts"]


def test_a_bot_is_not_answered() -> None:
    result = deliver(answer_mention, {"event_id": "Ev1", "event": {**MENTION, "bot_id": "B1"}})
    assert (result.state, result.reason) == ("dropped", "written by a bot")


def test_a_refusal_that_slack_answers_with_200_waits_for_a_person() -> None:
    refusal = (200, {"ok": False, "error": "not_in_channel"})
    result = deliver(answer_mention, "slack/app_mention", apis={"slack": [refusal]})
    assert (result.state, result.code, result.reason) == ("parked", "asked", "Slack did not post: not_in_channel")


def test_a_message_that_may_have_been_posted_is_not_posted_again() -> None:
    crashed = deliver(answer_mention, "slack/app_mention", apis={"slack": [(200, {"ok": True})]}, crash_after=1)
    after = crashed.again()
    assert (after.state, after.code, after.calls) == ("parked", "ambiguous", [])
    assert crashed.calls[0].key is None

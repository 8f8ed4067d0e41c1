"""Slack: answers whoever mentions the app. Shows an upstream that takes no idempotency key, and `Park`.

    [sources.slack]
    preset = "slack"
    secrets = ["env:SLACK_SIGNING_SECRET"]

    [apis.slack]
    base_url = "https://slack.com/api"
    auth = {type = "bearer", token = "env:SLACK_BOT_TOKEN"}
    idempotency_header = ""                       # Slack honours none: where a repeat might post twice, Postern asks

    [handlers]
    modules = ["processors.handlers.slack"]       # or the name of your copy

The receiver itself answers the `url_verification` that Slack sends first; it stores no event.
"""

from pydantic import BaseModel

from processors import Context, Drop, Event, Park, on


class Mention(BaseModel):
    channel: str
    user: str | None = None
    ts: str
    thread_ts: str | None = None
    bot_id: str | None = None


class Posted(BaseModel):
    ok: bool
    error: str = ""


@on("slack", "app_mention")
async def answer_mention(event: Event[Mention], ctx: Context) -> None:
    mention = event.data
    if mention.bot_id is not None:
        raise Drop("written by a bot")  # two bots that answer each other never stop
    message = {
        "channel": mention.channel,
        "thread_ts": mention.thread_ts or mention.ts,
        "text": f"<@{mention.user}> I am looking into it.",
    }
    posted = await ctx.api("slack").post("/chat.postMessage", json=message, into=Posted)
    # Slack says 200 also when it refuses (https://docs.slack.dev/apis/web-api/#evaluating_responses). To Postern
    # that call is done, so once mended it is repeated with: postern replay event ID --effects repeat
    if not posted.ok:
        raise Park(f"Slack did not post: {posted.error}")

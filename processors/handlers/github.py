"""GitHub: pull requests into a chat, pushes into deployments. Shows plain `def` handlers, and names of their own.

    [sources.github]
    preset = "github"
    secrets = ["env:GITHUB_WEBHOOK_SECRET"]

    [apis.chat]
    base_url = "https://chat.internal"

    [apis.deploys]
    base_url = "https://deploys.internal"

    [handlers]
    modules = ["processors.handlers.github"]      # or the name of your copy

GitHub names the event in a header and the action in the body; Postern's type is both: `pull_request.opened`.
"""

from pydantic import BaseModel

from processors import Drop, Event, SyncContext, on


class Repository(BaseModel):
    full_name: str
    default_branch: str


class PullRequest(BaseModel):
    number: int
    title: str
    html_url: str


class PullRequestEvent(BaseModel):
    pull_request: PullRequest
    repository: Repository


class Push(BaseModel):
    ref: str
    after: str
    deleted: bool
    repository: Repository


@on("github", "pull_request.opened", "pull_request.reopened", name="announce-pull-request")
def announce(event: Event[PullRequestEvent], ctx: SyncContext) -> None:
    opened = event.data.pull_request
    text = f"{event.data.repository.full_name}#{opened.number}: {opened.title} {opened.html_url}"
    ctx.api("chat").post("/messages", json={"text": text})


@on("github", "push", name="deploy-default-branch")
def deploy(event: Event[Push], ctx: SyncContext) -> None:
    push = event.data
    if push.deleted or push.ref != f"refs/heads/{push.repository.default_branch}":
        raise Drop(f"{push.ref} is not deployed")
    ctx.api("deploys").post("/deployments", json={"repository": push.repository.full_name, "commit": push.after})

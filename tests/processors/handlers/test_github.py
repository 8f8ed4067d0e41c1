from processors.handlers.github import announce, deploy
from processors.testing import deliver


def test_an_opened_pull_request_is_announced_with_its_address() -> None:
    result = deliver(announce, "github/pull_request.opened", apis={"chat": [(201, {})]})
    assert (result.state, result.calls[0].path) == ("succeeded", "/messages")
    said = (
        "postern-example/tide#57: Show neap tides in the weekly chart https://github.com/postern-example/tide/pull/57"
    )
    assert result.calls[0].json() == {"text": said}


def test_a_push_to_the_default_branch_is_deployed() -> None:
    result = deliver(deploy, "github/push", apis={"deploys": [(202, {})]})
    assert (result.state, result.calls[0].path) == ("succeeded", "/deployments")
    commit = "0b29ee36fd4e4d7e1b65bb12a2373d52ac7f7232"
    assert result.calls[0].json() == {"repository": "postern-example/tide", "commit": commit}


def test_a_deleted_branch_is_not_deployed() -> None:
    result = deliver(deploy, "github/push__branch_deleted")
    assert (result.state, result.reason) == ("dropped", "refs/heads/neap-chart is not deployed")

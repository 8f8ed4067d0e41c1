"""The vendors we know: every file makes a scheme, and says in keys that users may write too."""

import re
from importlib.resources import files

import pytest

from receiver.errors import UserError
from receiver.schemes.presets import preset, preset_names
from receiver.settings import Settings, SourceSettings
from receiver.sources import unused_keys

PRESETS = (
    *("adyen", "adyen-platform", "asana", "auth0-logstream", "aws-sns", "azure-eventgrid", "bigcommerce"),
    *("bitbucket", "box", "braintree", "calendly", "checkout.com", "cloudevents", "coinbase-commerce"),
    *("contentful", "datadog", "discord", "docusign", "dropbox", "github", "gitlab-signing", "gitlab-token"),
    *("gocardless", "google-pubsub", "hubspot-v3", "intercom", "intuit", "jira", "lemonsqueezy", "line"),
    *("linear", "mailgun", "meta", "microsoft-graph", "notion", "okta", "openai", "paddle", "pagerduty"),
    *("paypal", "plaid", "razorpay", "resend", "rfc9421", "sendgrid", "sentry", "shopify", "shopify-events"),
    *("slack", "square", "standardwebhooks", "standardwebhooks-v1a", "stripe", "svix", "telegram", "twilio"),
    *("typeform", "woocommerce", "workos", "x-twitter", "xero", "zendesk", "zoom"),
)
every_preset = pytest.mark.parametrize("name", preset_names())


def test_these_are_the_presets() -> None:
    assert preset_names() == PRESETS


@every_preset
def test_a_preset_is_written_in_a_users_keys(name: str) -> None:
    SourceSettings.model_validate(preset(name, "here"))


@every_preset
def test_a_preset_makes_a_scheme_that_uses_all_its_keys(name: str) -> None:
    settings = Settings.model_validate({"sources": {name: {"preset": name, **preset(name, "here")}}})
    assert unused_keys(name, settings) == []


@every_preset
def test_a_preset_tells_people_what_they_need_to_know(name: str) -> None:
    known = preset(name, "here")
    assert known["docs"].startswith("https://")
    for about in ("covers", "retries", "redeliver", "proof"):
        assert re.fullmatch(r"\S.*\S", known[about]), about


@every_preset
def test_beside_what_a_preset_says_stands_where_that_is_documented(name: str) -> None:
    text = (files("receiver.schemes.presets") / f"{name}.toml").read_text(encoding="utf-8")
    assert re.search(r"^#.*https://\S+", text, re.MULTILINE)


def test_github_sends_up_to_25_mib() -> None:
    assert preset("github", "here")["max_body_bytes"] == 25 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("strpe", 'did you mean "stripe"?'),
        ("google", 'did you mean "google-pubsub"?'),
        ("zzz", "postern init --help lists them"),
    ],
)
def test_an_unknown_preset_is_an_error_with_the_nearest_one(name: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        preset(name, "[sources.a] preset")
    assert caught.value.where == "[sources.a] preset"
    assert caught.value.fix.startswith(fix)


def test_a_preset_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        preset("stripe", "here")["id"] = "header:X"  # type: ignore[index]


@pytest.mark.parametrize("name", ["../secret", "__init__", "", "stripe.toml"])
def test_a_presets_name_is_no_path(name: str) -> None:
    with pytest.raises(UserError):
        preset(name, "here")

"""The vendors we know: every file makes a scheme, and says in keys that users may write too."""

import pytest

from receiver.errors import UserError
from receiver.schemes import Scheme
from receiver.schemes.presets import preset, preset_names
from receiver.settings import SourceSettings
from tests.receiver.schemes.deliveries import SECRETS, vendor

every_preset = pytest.mark.parametrize("name", preset_names())


def test_these_are_the_presets() -> None:
    assert preset_names() == ("github", "shopify", "slack", "standardwebhooks", "stripe")
    assert set(preset_names()) == set(SECRETS)


@every_preset
def test_a_preset_is_written_in_a_users_keys(name: str) -> None:
    SourceSettings.model_validate(preset(name, "here"))


@every_preset
def test_a_preset_makes_a_scheme_that_uses_all_its_keys(name: str) -> None:
    scheme = vendor(name)
    assert isinstance(scheme, Scheme)
    assert set(preset(name, "here")) <= scheme.used | {
        "scheme",
        "docs",
        "covers",
        "max_body_bytes",
        "dedupe_window_s",
    }


@every_preset
def test_a_preset_says_what_its_signature_covers_and_where_that_is_documented(name: str) -> None:
    known = preset(name, "here")
    assert known["docs"].startswith("https://")
    assert known["covers"].startswith("the body")


def test_github_sends_up_to_25_mib() -> None:
    assert preset("github", "here")["max_body_bytes"] == 25 * 1024 * 1024


@pytest.mark.parametrize(("name", "fix"), [("strpe", 'did you mean "stripe"?'), ("zzz", "known are github, ")])
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

"""From the configuration to sources: presets, overrides, schemes, secrets, and the errors on the way."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.errors import UserError
from receiver.schemes.hmac import Hmac
from receiver.settings import Settings, load
from receiver.sources import Source, build_source, build_sources, describe_source, unused_keys
from tests.receiver.schemes.deliveries import NOW, URL, request

ENDS = """
[sources.a]
preset = "github"
secrets = ["literal:new", {ref = "%s", not_after = 2026-12-01T00:00:00Z}]
"""


class Shouting(Hmac):
    """A vendor's own scheme, named in the configuration by an import string."""


class Broken:
    def __init__(self, keys: object, where: str) -> None:
        raise ValueError("first line\nsecond line")


class NoScheme:
    def __init__(self, keys: object, where: str) -> None:
        pass


def configured(folder: Path, text: str, **environ: str) -> Settings:
    file = folder / "postern.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ)


def problem(folder: Path, text: str, **environ: str) -> UserError:
    with pytest.raises(UserError) as caught:
        build_sources(configured(folder, text, **environ))
    return caught.value


def test_a_preset_and_a_secret_make_a_source(tmp_path: Path) -> None:
    settings = configured(tmp_path, '[sources.pay]\npreset = "stripe"\nsecrets = ["env:S"]', S="whsec_x")
    source = build_sources(settings)["pay"]
    assert (source.name, source.preset, source.max_body_bytes, source.dedupe_window_us) == (
        "pay",
        "stripe",
        1048576,
        259_200_000_000,
    )
    assert [(key.reference, key.secret) for key in source.keys] == [("env:S", b"whsec_x")]
    assert (source.public_url, source.covers) == (None, "the body and the time")
    assert source.docs
    assert source.docs.startswith("https://")


def test_any_key_of_a_preset_may_be_overridden(tmp_path: Path) -> None:
    text = """[sources.hub]
preset = "github"
secrets = ["literal:x"]
max_body_bytes = 10
dedupe_window_s = 0.5
public_url = "https://hooks.example.com/x"
id = "body:number"
type = ["body:kind", "header:X-GitHub-Event"]
"""
    source = build_source("hub", configured(tmp_path, text))
    assert (source.max_body_bytes, source.dedupe_window_us, source.public_url) == (
        10,
        500_000,
        "https://hooks.example.com/x",
    )
    (identity,) = source.scheme.identify(request([("X-GitHub-Event", "push")], b'{"number": 7}'))
    assert (identity.external_id, identity.type) == ("7", "push")


def test_a_private_vendor_needs_no_preset(tmp_path: Path) -> None:
    text = """[sources.acme]
scheme = "hmac"
signature = "header:X-Acme"
secrets = ["literal:new", "literal:old"]
"""
    source = build_source("acme", configured(tmp_path, text))
    assert source.preset is None
    body = b"anything"
    headers = source.scheme.sign(body, source.keys[1], NOW, url=URL, id=None, type=None).headers
    assert source.scheme.verify(request(headers, body), source.keys, NOW).key is source.keys[1]


def test_a_scheme_may_be_a_class_of_the_users(tmp_path: Path) -> None:
    text = f'[sources.acme]\nscheme = "{__name__}:Shouting"\nsignature = "header:X-Acme"'
    assert type(build_source("acme", configured(tmp_path, text)).scheme).__name__ == "Shouting"


def test_a_key_is_live_until_its_end(tmp_path: Path) -> None:
    source = build_source("a", configured(tmp_path, ENDS % "literal:old"))
    new, old = source.keys
    end = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert (source.has_ends, new.not_after, old.not_after) == (True, None, end)
    assert source.live_keys(end - 0.001) == (new, old)
    assert source.live_keys(end) == (new,)


def test_without_an_end_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    text = '[sources.a]\npreset = "github"\nsecrets = ["literal:x"]'
    assert not build_source("a", configured(tmp_path, text)).has_ends


def test_a_dated_key_whose_secret_is_missing_is_named_as_any_other(tmp_path: Path) -> None:
    error = problem(tmp_path, ENDS % "env:NOT_THERE")
    assert (error.what, error.where) == ("the variable NOT_THERE is not set", "[sources.a] secrets[1]")


def test_whoever_only_reads_events_needs_no_secrets(tmp_path: Path) -> None:
    settings = configured(tmp_path, '[sources.pay]\npreset = "stripe"\nsecrets = ["env:NOT_HERE"]')
    source = describe_source("pay", settings)
    assert source.keys == ()
    assert source.scheme.data({"data": {"object": {"id": "pi_1"}}}) == {"id": "pi_1"}


def test_a_source_without_secrets_can_be_built_and_accepts_nothing(tmp_path: Path) -> None:
    source: Source = build_source("pay", configured(tmp_path, '[sources.pay]\npreset = "stripe"'))
    assert source.keys == ()


def test_a_literal_secret_is_never_shown(tmp_path: Path) -> None:
    source = build_source("pay", configured(tmp_path, '[sources.pay]\npreset = "stripe"\nsecrets = ["literal:hush"]'))
    assert source.keys[0].secret == b"hush"
    assert source.keys[0].reference == "literal:…"
    assert "hush" not in repr(source)


def test_a_missing_secret_names_source_key_and_variable(tmp_path: Path) -> None:
    text = '[sources.pay]\npreset = "stripe"\nsecrets = ["literal:x", "env:PAY_SECRET"]'
    for environ in ({}, {"PAY_SECRET": ""}):
        error = problem(tmp_path, text, **environ)
        assert error.where == "[sources.pay] secrets[1]"
        assert "PAY_SECRET" in error.what
        assert "PAY_SECRET=" in error.fix


def test_a_secret_that_does_not_decode_names_source_and_key_and_is_not_shown(tmp_path: Path) -> None:
    text = '[sources.std]\npreset = "standardwebhooks"\nsecrets = ["env:STD"]'
    error = problem(tmp_path, text, STD="whsec_no base64!")
    assert (error.what, error.where) == ("the secret env:STD is not base64", "[sources.std] secrets[0]")
    assert "no base64!" not in str(error)


@pytest.mark.parametrize(
    ("keys", "what", "fix"),
    [
        ("", "neither a preset nor a scheme", "set preset (postern init --help lists them)"),
        ('preset = "strip"', "there is no preset 'strip'", 'did you mean "stripe"?'),
        ('scheme = "stripe"', "there is no scheme 'stripe'", 'write preset = "stripe"'),
        ('scheme = "hmack"', "there is no scheme 'hmack'", "write one of hmac, token"),
        ('scheme = "hmac"', "the scheme hmac needs a signature", 'set signature = "header:NAME"'),
        (
            'scheme = "nowhere.at.all:X"',
            "the scheme nowhere.at.all:X cannot be made: ModuleNotFoundError",
            "",
        ),
        ('scheme = "json:Nothing"', "the scheme json:Nothing cannot be made: AttributeError", ""),
        (
            f'scheme = "{__name__}:Broken"',
            f"the scheme {__name__}:Broken cannot be made: ValueError: first line",
            "",
        ),
        (f'scheme = "{__name__}:NoScheme"', f"{__name__}:NoScheme is not a scheme", "derive it from"),
        (f'scheme = "{__name__}:Shouting"', "the scheme hmac needs a signature", ""),
    ],
)
def test_a_wrong_source_is_an_error_of_three_lines(tmp_path: Path, keys: str, what: str, fix: str) -> None:
    error = problem(tmp_path, f"[sources.acme]\n{keys}")
    assert error.what.startswith(what)
    assert error.fix.startswith(fix)
    assert error.where.startswith("[sources.acme]")
    assert len(str(error).splitlines()) == 3


def test_an_unknown_source_is_an_error_with_the_nearest_one(tmp_path: Path) -> None:
    settings = configured(tmp_path, '[sources.stripe]\npreset = "stripe"')
    with pytest.raises(UserError, match="there is no source 'strpe'") as caught:
        build_source("strpe", settings)
    assert caught.value.fix == "did you mean 'stripe'?"


def test_keys_that_change_nothing_are_told(tmp_path: Path) -> None:
    text = """[sources.hub]
preset = "github"
secrets = ["env:NOT_HERE"]
tolerance_s = 60
audience = "x"
public_url = "https://example.com"
max_body_bytes = 10
dedupe_window_s = 60
id = "body:id"
"""
    assert sorted(unused_keys("hub", configured(tmp_path, text))) == ["audience", "public_url", "tolerance_s"]
    pay = '[sources.pay]\npreset = "stripe"\ntolerance_s = 60\ntimestamp = "header:X"'
    assert unused_keys("pay", configured(tmp_path, pay)) == ["timestamp"]


META = '[sources.meta]\npreset = "meta"\nsecrets = ["literal:x"]\nverify_token = "env:WORD"'


def test_the_word_of_a_handshake_is_looked_up_where_the_source_is_used(tmp_path: Path) -> None:
    error = problem(tmp_path, META)
    assert (error.what, error.where) == ("the variable WORD is not set", "[sources.meta] verify_token")
    settings = configured(tmp_path, META, WORD="meaty")
    assert build_source("meta", settings).scheme.greets == {"GET"}
    assert unused_keys("meta", settings) == []


def test_who_only_reads_needs_no_word(tmp_path: Path) -> None:
    assert describe_source("meta", configured(tmp_path, META)).name == "meta"


def test_a_word_that_no_handshake_asks_for_changes_nothing(tmp_path: Path) -> None:
    text = '[sources.hub]\npreset = "github"\nsecrets = ["literal:x"]\nverify_token = "literal:y"'
    assert unused_keys("hub", configured(tmp_path, text)) == ["verify_token"]

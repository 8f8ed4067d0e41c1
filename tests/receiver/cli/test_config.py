"""`postern config check`: errors stop it, what changes nothing is a warning, and no secret is printed."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.receiver.cli.conftest import Ended, postern

Typed = Callable[..., Ended]
CONFIG = """
public_url = "https://hooks.example.com"
admin_token = "env:ADMIN"
[store]
url = "postgresql://postern:hidden@db/postern"
[sources.github]
preset = "github"
secrets = ["env:GITHUB", "literal:hidden"]
tolerance_s = 3
[sources."a.b"]
scheme = "hmac"
signature = ["header:X-Acme", "header:X-Old"]
sample_headers = {X-Test = "a \\"b\\""}
[apis.ledger]
base_url = "https://ledger.internal"
auth = {type = "basic", username = "me", password = "env:LEDGER"}
timeout_s = 2.5
"""

SET = {"ADMIN": "x", "GITHUB": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "postern.toml").write_text(CONFIG)
    return tmp_path


def test_it_prints_what_counts_with_secrets_as_references(folder: Path, typed: Typed) -> None:
    ended = typed(folder, "config", "check", environ=SET | {"POSTERN_SERVER__PORT": "8123"})
    assert ended.code == 0
    assert ended.out == (
        f"# {folder}/postern.toml\n"
        'public_url = "https://hooks.example.com"\n'
        'admin_token = "env:ADMIN"\n'
        "[server]\n"
        'host = "127.0.0.1"\n'
        "port = 8123\n"
        "trusted_proxies = []\n"
        "[store]\n"
        'url = "postgresql://postern:…@db/postern"\n'
        "[queue]\n"
        'url = "memory://"\n'
        "[worker]\n"
        "concurrency = 32\n"
        "lease_s = 30\n"
        "retry_first_s = 5\n"
        "retry_factor = 3\n"
        "retry_cap_s = 43200\n"
        "max_failures = 12\n"
        "timeout_s = 300\n"
        "[sources.github]\n"
        'preset = "github"\n'
        'secrets = ["env:GITHUB", "literal:…"]\n'
        "tolerance_s = 3\n"
        '[sources."a.b"]\n'
        'scheme = "hmac"\n'
        "secrets = []\n"
        'signature = ["header:X-Acme", "header:X-Old"]\n'
        'sample_headers = {X-Test = "a \\"b\\""}\n'
        "[apis.ledger]\n"
        'base_url = "https://ledger.internal"\n'
        'auth = {type = "basic", username = "literal:…", password = "env:LEDGER"}\n'
        "timeout_s = 2.5\n"
        'idempotency_header = "Idempotency-Key"\n'
        "[handlers]\n"
        "modules = []\n"
    )
    assert tomllib.loads(ended.out)["sources"]["github"]["tolerance_s"] == 3
    assert "hidden" not in ended.out + ended.err


def test_keys_without_effect_and_missing_secrets_of_apis_are_warnings(folder: Path, typed: Typed) -> None:
    ended = typed(folder, "config", "check", environ=SET | {"POSTERN_SERVER__PROT": "1"})
    assert ended.code == 0
    assert ended.err == (
        "postern: POSTERN_SERVER__PROT: unknown variable, ignored; did you mean POSTERN_SERVER__PORT?\n"
        "postern: [sources.github] tolerance_s changes nothing: this source's scheme does not use it\n"
        "postern: [sources.a.b] has no secret, so it accepts nothing\n"
        "postern: the variable LEDGER is not set\n  at [apis.ledger] auth.password\n"
        f"  Type export LEDGER=… or write LEDGER=… into {folder}/.env\n"
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('[sources.a]\npreset = "github"\nsecrets = ["env:UNSET"]\n',
         ["postern: the variable UNSET is not set", "  at [sources.a] secrets[0]"]),
        ('[sources.a]\npreset = "discord"\npublic_keys = ["literal:nohex"]\n',
         ["postern: literal:… is not a key", "  at [sources.a] public_keys[0]",
          "  write an Ed25519 key in hex (64 digits), in base64, in PEM or as a JWK"]),
        ('[sources.a]\npreset = "meta"\nsecrets = ["literal:x"]\nverify_token = "env:UNSET"\n',
         ["postern: the variable UNSET is not set", "  at [sources.a] verify_token"]),
        ('admin_token = "env:UNSET"\n', ["postern: the variable UNSET is not set", "  at admin_token"]),
    ],
)  # fmt: skip
def test_a_secret_or_a_key_that_stops_serve_is_an_error(
    tmp_path: Path, typed: Typed, config: str, said: list[str]
) -> None:
    (tmp_path / "postern.toml").write_text(config)
    ended = typed(tmp_path, "config", "check")
    assert (ended.code, ended.out, ended.err.splitlines()[: len(said)]) == (1, "", said)
    assert ended.err.count("\n") == 3


def test_serve_says_the_same_of_a_key_that_is_none(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text('[sources.a]\npreset = "discord"\npublic_keys = ["literal:nohex"]\n')
    served = postern(tmp_path, "serve", "--port", "0")
    assert (served.returncode, served.stderr) == (1, typed(tmp_path, "config", "check").err)


def test_each_source_that_stops_serve_is_told(tmp_path: Path, typed: Typed) -> None:
    wrong = '[sources.{0}]\npreset = "github"\nsecrets = ["env:{0}"]\n'
    (tmp_path / "postern.toml").write_text(wrong.format("a") + wrong.format("b"))
    ended = typed(tmp_path, "config", "check", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert [name for name in "ab" if f"the variable {name} is not set\n" in ended.err] == ["a", "b"]


def test_a_source_that_accepts_nothing_says_what_it_lacks(tmp_path: Path, typed: Typed) -> None:
    presets = ("aws-sns", "google-pubsub", "meta", "paypal", "plaid", "sendgrid")
    (tmp_path / "postern.toml").write_text("".join(f'[sources.{name}]\npreset = "{name}"\n' for name in presets))
    ended = typed(tmp_path, "config", "check")
    assert ended.code == 0
    assert ended.err == (
        "postern: [sources.aws-sns] has no topic_arn, so it accepts nothing\n"
        "postern: [sources.google-pubsub] has no audience and no service_account, so it accepts nothing\n"
        "postern: [sources.meta] has no verify_token, so it refuses handshakes\n"
        "postern: [sources.meta] has no secret, so it accepts nothing\n"
        "postern: [sources.paypal] has no webhook_id, so it accepts nothing\n"
        "postern: [sources.plaid] has no secret, so it accepts nothing\n"
        "postern: [sources.sendgrid] has no secret, so it accepts nothing\n"
    )


def test_a_key_with_an_end_is_printed_as_it_is_written(tmp_path: Path, typed: Typed) -> None:
    secrets = 'secrets = ["literal:…", {ref = "env:OLD", not_after = 2026-12-01T00:00:00Z}]'
    (tmp_path / "postern.toml").write_text(f'[sources.a]\npreset = "github"\n{secrets.replace("…", "x")}\n')
    ended = typed(tmp_path, "config", "check", environ={"OLD": "x"})
    assert secrets in ended.out.splitlines()
    [row] = typed(tmp_path, "config", "check", "--json", environ={"OLD": "x"}).rows
    assert row["settings"]["sources"]["a"]["secrets"][1] == {"ref": "env:OLD", "not_after": "2026-12-01T00:00:00Z"}


def test_as_json_it_is_one_object(folder: Path, typed: Typed) -> None:
    ended = typed(folder, "config", "check", "--json", environ={"GITHUB": "x", "ADMIN": "x"})
    [row] = ended.rows
    assert row["path"] == f"{folder}/postern.toml"
    assert len(row["warnings"]) == 3
    assert row["settings"]["sources"]["github"]["secrets"] == ["env:GITHUB", "literal:…"]
    assert row["settings"]["store"] == {"url": "postgresql://postern:…@db/postern"}
    assert "hidden" not in ended.out


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[server]\nprt = 1\n", "postern.toml:2: unknown key 'prt' in [server]\n  Did you mean 'port'?\n"),
        ('[sources.a]\npreset = "strip"\n',
         "there is no preset 'strip'\n  at [sources.a] preset\n  did you mean \"stripe\"?\n"),
        ('[sources.a]\npreset = "google"\n',
         "there is no preset 'google'\n  at [sources.a] preset\n  did you mean \"google-pubsub\"?\n"),
        ('[sources.a]\npreset = "qqq"\n',
         "there is no preset 'qqq'\n  at [sources.a] preset\n  postern init --help lists them\n"),
        ("[sources.a]\nsecrets = []\n",
         "neither a preset nor a scheme\n  at [sources.a]\n"
         '  set preset (postern init --help lists them) or scheme = "hmac"\n'),
    ],
)  # fmt: skip
def test_what_serve_would_not_take_is_an_error(tmp_path: Path, typed: Typed, config: str, said: str) -> None:
    (tmp_path / "postern.toml").write_text(config)
    ended = typed(tmp_path, "config", "check")
    assert (ended.code, ended.out, ended.err) == (1, "", f"postern: {said}")


def test_without_a_file_the_defaults_are_printed(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "config", "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith('# no postern.toml here: these are the defaults\n[server]\nhost = "127.0.0.1"\n')

"""`postern init`: a project that works as it is, whose secrets are its own, and that overwrites nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from receiver.cli.config import without_effect
from receiver.cli.templates import new_source
from receiver.schemes.presets import preset_names
from receiver.settings import load
from receiver.sources import build_sources
from tests.receiver.cli.conftest import REPOSITORY, Ended, environment

Typed = Callable[..., Ended]
NAMES = (*preset_names(), "acme")
ALL = [text for name in NAMES for text in ("--source", name)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def secrets_in(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_it_writes_a_project_for_stripe_where_nothing_is_said(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init")
    files = [
        "postern.toml", "webhooks.py", "tests/test_webhooks.py", "pytest.ini", ".env", ".env.example", ".gitignore",
        "fixtures/stripe/payment_intent.succeeded.json",
    ]  # fmt: skip
    assert set(contents(tmp_path)) == set(files)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "".join(f"wrote {file}\n" for file in files) + (
        "\nNext:\n"
        "  postern serve\n"
        "  postern send stripe/payment_intent.succeeded --wait    (in another terminal)\n"
        "  pytest\n"
    )


def test_its_configuration_makes_sources_without_a_warning(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", "shop", *ALL)
    settings = load(tmp_path / "shop" / "postern.toml", {})
    assert settings.warnings == ()
    assert tuple(name for name, source in build_sources(settings).items() if source.keys) == NAMES
    assert list(without_effect(settings)) == []
    assert settings.handlers.modules == ("webhooks",)


def test_its_code_is_typed(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", ".", *ALL)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ".mypy", "webhooks.py", "tests"]
    environ = environment(MYPYPATH=str(REPOSITORY))
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout == "Success: no issues found in 2 source files\n"


def test_its_tests_pass(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", ".", *ALL)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert f"{len(NAMES)} passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("stripe", "whsec_[A-Za-z0-9]{32}"),  # literal text
        ("standardwebhooks", "whsec_[A-Za-z0-9+/]{32}"),  # in base64
        ("openai", "whsec_[A-Za-z0-9+/]{32}"),
        ("adyen", "[0-9a-f]{64}"),
        ("acme", "[A-Za-z0-9]{40}"),
        ("discord", "MC4[A-Za-z0-9+/=]{61}"),  # private keys: Ed25519,
        ("sendgrid", "MIGH[A-Za-z0-9+/=]{180}"),  # P-256
        ("paypal", "MII[A-Za-z0-9+/=]{1600,1640}"),  # and RSA
    ],
)
def test_a_made_up_secret_has_the_form_that_its_source_takes(
    name: str, form: str, tmp_path: Path, typed: Typed
) -> None:
    typed(tmp_path, "init", ".", "--source", name)
    assert re.fullmatch(form, secrets_in(tmp_path)[f"{name.upper()}_WEBHOOK_SECRET"])


def test_what_a_source_needs_besides_a_secret_is_there_to_be_replaced(tmp_path: Path, typed: Typed) -> None:
    names = ("paypal", "aws-sns", "google-pubsub", "braintree", "meta")
    typed(tmp_path, "init", ".", *(text for name in names for text in ("--source", name)))
    lines = (tmp_path / "postern.toml").read_text().splitlines()
    replaced = [line.partition(" ")[0] for line in lines if line.endswith("# put yours here")]
    assert replaced == ["webhook_id", "topic_arn", "audience", "service_account", "public_key_id"]
    assert 'verify_token = "env:META_VERIFY_TOKEN"' in (tmp_path / "postern.toml").read_text()
    assert secrets_in(tmp_path)["META_VERIFY_TOKEN"]


def test_a_handler_reads_what_tells_something_of_the_fixtures_data(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", ".", "--source", "razorpay", "--source", "gocardless", "--source", "dropbox")
    code = (tmp_path / "webhooks.py").read_text()
    assert (
        "class RazorpayPaymentCapturedPaymentEntity(BaseModel):\n"
        "    id: str\n    amount: int\n    currency: str\n    email: str | None = None\n"
    ) in code
    assert "event: Event[RazorpayPaymentCaptured], ctx" in code
    assert '@on("gocardless", "payments.confirmed", "mandates.active")\n' in code  # a batch of two
    assert "event: Event[str], ctx" in code  # of Dropbox the accounts are all there is


def test_a_handler_takes_what_lacks_a_text_that_somebody_may_write() -> None:
    """A photo is a message without a text; but it has an id, as every message does."""
    shape = new_source("telegram").example.shape("Message")
    names: dict[str, Any] = {"BaseModel": BaseModel}
    exec("\n".join(shape.classes), names)
    message = names["Message"]
    photo = message.model_validate({"message_id": 1365, "date": 1759999995, "photo": []})
    assert (photo.message_id, photo.text) == (1365, None)
    assert message.model_validate({"message_id": 1, "date": 1, "text": "hello"}).text == "hello"
    with pytest.raises(ValidationError):
        message.model_validate({"date": 1759999995, "text": "hello"})


def test_help_lists_the_presets(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init", "--help")
    assert sorted(ended.out.partition("\nPresets:\n")[2].split()) == sorted(preset_names())
    assert max(map(len, ended.out.splitlines())) <= 80


def test_its_secrets_are_new_each_time_and_stand_in_one_private_file(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", "one", *ALL)
    typed(tmp_path, "init", "two", *ALL)
    one = secrets_in(tmp_path / "one")
    assert not set(one.values()) & set(secrets_in(tmp_path / "two").values())
    others = b"".join(content for file, content in contents(tmp_path / "one").items() if file != ".env")
    assert not any(secret.encode() in others for secret in one.values())
    assert (tmp_path / "one" / ".env").stat().st_mode & 0o777 == 0o600
    assert ".env" in (tmp_path / "one" / ".gitignore").read_text().splitlines()
    assert "ACME_WEBHOOK_SECRET=\n" in (tmp_path / "one" / ".env.example").read_text()


def test_what_exists_is_left_as_it_was(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    (tmp_path / "postern.toml").write_text("# mine\n")
    ended = typed(tmp_path, "init", "--source", "github")
    assert ended.code == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert (tmp_path / "postern.toml").read_text() == "# mine\n"
    assert "left as it was: postern.toml\nleft as it was: .gitignore\n" in ended.out
    assert 'add to it:\n\n[sources.github]\npreset = "github"\nsecrets = ["env:GITHUB_WEBHOOK_SECRET"]' in ended.out


def test_a_second_time_nothing_is_written(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", "shop")
    before = contents(tmp_path)
    ended = typed(tmp_path, "init", "shop")
    assert contents(tmp_path) == before
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "postern: nothing was written: every file is there already\n"
        f"  at {tmp_path}/shop\n"
        "  To add a source, write its table into postern.toml\n"
    )


def test_a_fixture_whose_type_no_file_may_be_called_by_has_a_name_that_one_may(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init", "--source", "bitbucket")
    assert (tmp_path / "fixtures/bitbucket/repo%3Apush.json").is_file()
    assert "  postern send bitbucket/repo:push --wait " in ended.out


def test_a_name_that_is_no_preset_is_a_private_vendor_and_says_so(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init", "--source", "strpe", "--yes")
    assert "strpe is no preset, so it is a private vendor: say in postern.toml how it signs\n" in ended.out
    assert load(tmp_path / "postern.toml", {}).sources["strpe"].signature == "header:X-Strpe-Signature"


def test_a_name_that_is_nearly_a_preset_is_asked_about_before_anything_is_written(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init", "shop", "--source", "stripe", "--source", "gitub")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "postern: gitub is no preset (did you mean github?): is it a private vendor? Nobody is here to answer.\n"
        "  Add --yes to do it\n"
    )
    assert os.listdir(tmp_path) == []


def test_a_preset_in_the_folder_s_place_writes_nothing(tmp_path: Path, typed: Typed) -> None:
    ended = typed(tmp_path, "init", "github")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("postern: github is a preset, and what stands here is the folder\n  at DIR\n")
    assert os.listdir(tmp_path) == []
    assert typed(tmp_path, "init", "github", "--source", "github").code == 0
    assert list(load(tmp_path / "github" / "postern.toml", {}).sources) == ["github"]


def test_a_public_key_in_the_secret_s_place_is_told(tmp_path: Path, typed: Typed) -> None:
    typed(tmp_path, "init", ".", "--source", "github", "--source", "discord")
    for file in (".env", ".env.example"):
        _, github, *about, discord = (tmp_path / file).read_text().splitlines()
        assert (github.partition("=")[0], discord.partition("=")[0]) == (
            "GITHUB_WEBHOOK_SECRET", "DISCORD_WEBHOOK_SECRET",
        )  # fmt: skip
        assert "no secret: the public key" in " ".join(about)
        assert "of your application" in " ".join(about)
    text = (tmp_path / ".env").read_text()
    (tmp_path / ".env").write_text(text.replace(secrets_in(tmp_path)["DISCORD_WEBHOOK_SECRET"], "5e" * 32))
    assert build_sources(load(tmp_path / "postern.toml", {}))["discord"].keys  # it may really stand there


@pytest.mark.parametrize("name", ["3d-printer.eu", "class", "a.b"])
def test_any_name_that_a_source_may_have_makes_code_that_compiles(name: str, tmp_path: Path, typed: Typed) -> None:
    assert typed(tmp_path, "init", "--source", name).code == 0
    assert list(load(tmp_path / "postern.toml", {}).sources) == [name]
    for file in ("webhooks.py", "tests/test_webhooks.py"):
        compile((tmp_path / file).read_text(), file, "exec")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["Stripe"],
            "'Stripe' cannot be a source: a source's name is up to 64 of a-z 0-9 _ . - and begins with a-z or 0-9",
        ),
        (["a.b", "a-b"], "two of the names differ only in . - and _"),
    ],
)
def test_a_name_that_no_source_may_have_writes_nothing(
    names: list[str], said: str, tmp_path: Path, typed: Typed
) -> None:
    ended = typed(tmp_path, "init", *(text for name in names for text in ("--source", name)))
    assert (ended.code, ended.err) == (2, f"postern: {said}\n  at --source\n")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / "shop").write_text("a file")
    ended = typed(tmp_path, "init", "shop")
    said = "postern: shop/postern.toml cannot be written: something else has this name\n"
    assert (ended.code, ended.err) == (1, said)

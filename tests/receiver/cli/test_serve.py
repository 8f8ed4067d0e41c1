"""`postern serve`: what its options change, what stands in its way, and starting anew after a change."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.http import httpx
from tests.receiver.cli.conftest import Ended, Serving, postern

Serve = Callable[..., Serving]
Typed = Callable[..., Ended]
SOURCE = '[sources.stripe]\npreset = "stripe"\nsecrets = ["env:STRIPE_WEBHOOK_SECRET"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "postern.toml").write_text(SOURCE)
    (tmp_path / ".env").write_text("STRIPE_WEBHOOK_SECRET=whsec_made_up\n")
    return tmp_path


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def stores(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("postern.db")]


def test_a_taken_port_is_named_and_leaves_no_trace(folder: Path, taken_port: int) -> None:
    done = postern(folder, "serve", "--port", str(taken_port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"postern: cannot listen on 127.0.0.1:{taken_port}: Address already in use\n"
        "  at [server] host and port\n"
        f"  Stop what uses it, or choose another: postern serve --port {taken_port + 1}\n"
    )
    assert stores(folder) == []


def test_a_missing_secret_stops_it_and_names_source_key_and_variable(folder: Path) -> None:
    (folder / ".env").unlink()
    done = postern(folder, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == (
        "postern: the variable STRIPE_WEBHOOK_SECRET is not set\n"
        "  at [sources.stripe] secrets[0]\n"
        f"  Type export STRIPE_WEBHOOK_SECRET=… or write STRIPE_WEBHOOK_SECRET=… into {folder}/.env\n"
    )
    assert stores(folder) == []


def test_a_secret_in_a_references_place_stops_it_and_is_not_printed(folder: Path) -> None:
    (folder / "postern.toml").write_text(SOURCE.replace("env:STRIPE_WEBHOOK_SECRET", "whsec_made_up"))
    done = postern(folder, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == (
        "postern: postern.toml:3: [sources.stripe] secrets[0]: "
        "a secret must be written env:NAME, file:PATH or literal:TEXT\n"
        "  Write the secret into .env as NAME=… and env:NAME in its place\n"
    )


def test_a_store_that_cannot_be_written_stops_it(folder: Path) -> None:
    done = postern(folder, "serve", "--port", "0", POSTERN_STORE__URL="sqlite:///no/such/folder/postern.db")
    assert done.returncode == 1
    assert done.stderr == (
        "postern: the store cannot be written: unable to open database file\n"
        f"  at {folder}/no/such/folder/postern.db\n"
        "  Check that the folder exists, may be written and has room.\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--port", "70000", "70000 is not in the range 0<=x<=65535."),
        ("--public-url", "ftp://x", "must be http://HOST… or https://HOST…"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(option: str, value: str, said: str, folder: Path, typed: Typed) -> None:
    ended = typed(folder, "serve", option, value)
    assert ended.code == 2
    assert ended.err == f"postern: invalid value for '{option}': {said}\n  Usage: postern serve [OPTIONS]\n"


def test_it_serves_without_a_configuration_and_ends_well_at_sigterm(tmp_path: Path, serve: Serve) -> None:
    serving = serve(tmp_path)
    assert httpx.get(f"{serving.listening()}/healthz").json() == {"status": "alive"}
    assert serving.stop() == 0


def test_its_options_win_over_file_and_environment(folder: Path, taken_port: int, serve: Serve) -> None:
    with (folder / "postern.toml").open("a") as file:
        file.write('[server]\nhost = "1.2.3.4"\n')
    serving = serve(folder, "--host", "localhost", POSTERN_SERVER__PORT=str(taken_port))
    url = httpx.URL(serving.listening())
    assert (url.host, url.port not in (0, taken_port)) == ("127.0.0.1", True)


def test_the_public_url_is_what_schemes_sign(tmp_path: Path, serve: Serve, typed: Typed) -> None:
    (tmp_path / "postern.toml").write_text(
        '[sources.acme]\nscheme = "hmac"\nsecrets = ["literal:x"]\n'
        'signature = "header:X-Sig"\ncontent = "{url}{body}"\n'
    )
    serve(tmp_path, "--public-url", "https://hooks.example.com").listening()
    refused = typed(tmp_path, "send", "acme/order.created")
    accepted = typed(
        tmp_path, "send", "acme/order.created", environ={"POSTERN_PUBLIC_URL": "https://hooks.example.com"}
    )
    assert (refused.code, accepted.code) == (1, 0)


def test_with_reload_a_change_starts_it_anew_and_sigterm_stops_both(folder: Path, serve: Serve) -> None:
    serving = serve(folder, "--reload")
    first = serving.listening()
    (folder / "postern.toml").write_text(SOURCE + "[handlers]\nmodules = []\n")
    serving.line_with("stopped")
    second = serving.listening()
    assert httpx.get(f"{second}/healthz").is_success
    assert serving.stop() == 0
    for url in {first, second}:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz")


def test_with_reload_an_error_waits_for_the_next_change(folder: Path, serve: Serve) -> None:
    serving = serve(folder, "--reload")
    serving.listening()
    (folder / "postern.toml").write_text(SOURCE + "[sevrer]\n")
    assert serving.line_with("postern:") == "postern: postern.toml:4: unknown table [sevrer]\n"
    serving.line_with("waiting for a change")
    (folder / "postern.toml").write_text(SOURCE)
    assert httpx.get(f"{serving.listening()}/healthz").is_success

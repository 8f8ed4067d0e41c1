"""`postern doctor`: one line for each thing it looks at, what to type where something is wrong, exit 1 on a failure."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import gethostname
from urllib.parse import unquote, urlsplit

import pytest

from receiver.cli.checks import _reason
from receiver.store import processes
from tests.receiver.cli.conftest import Ended, Serving
from tests.support.servers import free_port
from tests.support.services import new_redis
from tests.support.stored import Stored, offer, stored
from tests.support.until import until
from tests.support.wire import get

Typed = Callable[..., Ended]
SECRET = "whsec_of_the_tests"
CONFIG = """
[server]
port = {port}
[sources.stripe]
preset = "stripe"
secrets = ["env:KEY"]
"""
WITH_HANDLERS = '[handlers]\nmodules = ["webhooks"]\n'  # imported in a process of its own, which takes its time
HANDLERS = """
import os
from processors import Event, SyncContext, on

print("loud at import")
os.write(1, b"and louder")

@on("stripe", "invoice.*")
def book(event: Event, ctx: SyncContext) -> None: ...
"""


@pytest.fixture
def port() -> int:
    """A free one, which is still free afterwards as far as anybody can tell."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        found: int = listener.getsockname()[1]
    return found


@pytest.fixture
def folder(tmp_path: Path, port: int) -> Path:
    (tmp_path / "postern.toml").write_text(CONFIG.format(port=port))
    (tmp_path / ".env").write_text(f"KEY={SECRET}\n")
    return tmp_path


def with_handlers(folder: Path, code: str = HANDLERS) -> None:
    (folder / "webhooks.py").write_text(code)
    with (folder / "postern.toml").open("a") as config:
        config.write(WITH_HANDLERS)


@pytest.fixture
def shop(folder: Path) -> Iterator[Stored]:
    with stored(folder) as shop:
        yield shop


def found(typed: Typed, folder: Path, **environ: str) -> dict[str, list[tuple[str, str, str]]]:
    """By check: (state, text, fix); the exit code says whether one failed, and there is no secret anywhere."""
    ended = typed(folder, "doctor", "--json", environ=environ)
    assert SECRET not in ended.out + ended.err
    checks: dict[str, list[tuple[str, str, str]]] = {}
    for row in ended.rows:
        checks.setdefault(row["check"], []).append((row["state"], row["text"], row["fix"]))
    assert ended.code == int(any(state == "fail" for said in checks.values() for state, _, _ in said))
    return checks


def test_before_the_first_start_nothing_stands_in_the_way(folder: Path, port: int, typed: Typed) -> None:
    with_handlers(folder)
    ended = typed(folder, "doctor")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"ok    configuration  {folder}/postern.toml\n"
        "ok    secrets        stripe: env:KEY (0e686aae)\n"
        f"warn  store          there is none yet at {folder}/postern.db\n"
        "                     Type postern serve: it makes one\n"
        "warn  receiver       none is running\n"
        "                     Type postern serve\n"
        "warn  worker         none is running\n"
        "                     Type postern serve\n"
        f"ok    port           {port} is free\n"
        "ok    handlers       webhooks: book\n"
    )
    assert not (folder / "postern.db").exists()


def test_while_postern_serves_all_is_well_and_the_port_is_its_own(
    folder: Path, port: int, typed: Typed, serve: Callable[..., Serving]
) -> None:
    with_handlers(folder)
    url = serve(folder, "--port", str(port)).listening()
    until(lambda: get(port, "/readyz").json()["worker"] == "ok", what="the worker")
    checks = found(typed, folder)
    assert {state for said in checks.values() for state, _, _ in said} == {"ok"}
    assert checks["receiver"][0][1].endswith(f" is ready at {url}")
    assert checks["worker"][0][1].endswith(f" on {gethostname()} works")
    assert checks["port"] == [("ok", f"{port} is our own receiver's", "")]
    assert checks["store"] == [("ok", f"{folder}/postern.db can be read and written", "")]
    assert checks["clock"][0][1].endswith("and the store holds nothing later")


def test_with_a_broker_it_is_asked_to_take_a_hint_and_a_worker_has_its_own_command(folder: Path, typed: Typed) -> None:
    nowhere = f"redis://:secret@127.0.0.1:{free_port()}/0"
    checks = found(typed, folder, POSTERN_QUEUE__URL=nowhere)
    [(state, text, _)] = checks["queue"]
    assert state == "warn"
    shown, port = nowhere.replace("secret", "…"), urlsplit(nowhere).port
    why = f"Error 111 connecting to 127.0.0.1:{port}. Connection refused."
    assert text == f"{shown} takes no hint ({why}): work waits up to a second until it is found"
    assert checks["worker"] == [("warn", "none is running", "Type postern worker")]
    with new_redis() as url:
        assert found(typed, folder, POSTERN_QUEUE__URL=url)["queue"] == [("ok", f"{url} takes hints", "")]


def test_a_configuration_that_is_wrong_ends_it(folder: Path, typed: Typed) -> None:
    (folder / "postern.toml").write_text("[server]\nprt = 1\n")
    said = ("fail", "postern.toml:2: unknown key 'prt' in [server]", "Did you mean 'port'?")
    assert found(typed, folder) == {"configuration": [said]}


def test_an_empty_folder_is_told_how_to_begin(tmp_path: Path, typed: Typed) -> None:
    checks = found(typed, tmp_path)
    assert checks["configuration"] == [
        ("warn", f"no postern.toml in {tmp_path}", "Type postern init"),
        ("warn", "no source is configured", "Add [sources.NAME] to postern.toml"),
    ]
    assert checks["handlers"] == [
        ("warn", "no module is configured: every event will be unhandled",
         'Write modules = ["webhooks"] under [handlers]'),
    ]  # fmt: skip


def test_a_sources_missing_secret_fails_and_an_apis_is_a_warning(folder: Path, typed: Typed) -> None:
    (folder / ".env").unlink()
    config = (folder / "postern.toml").read_text()
    api = '[apis.ledger]\nbase_url = "https://x"\nauth = {type = "bearer", token = "env:TOKEN"}\n'
    (folder / "postern.toml").write_text(config + api)
    assert found(typed, folder)["secrets"] == [
        ("fail", "the variable KEY is not set ([sources.stripe] secrets[0])",
         f"Type export KEY=… or write KEY=… into {folder}/.env"),
        ("warn", "the variable TOKEN is not set ([apis.ledger] auth.token)",
         f"Type export TOKEN=… or write TOKEN=… into {folder}/.env"),
    ]  # fmt: skip


def test_a_key_past_its_end_is_a_warning(folder: Path, typed: Typed) -> None:
    config = (folder / "postern.toml").read_text()
    old = '{ref = "env:KEY", not_after = 2020-01-01T00:00:00Z}'
    (folder / "postern.toml").write_text(config.replace('"env:KEY"', f'"env:KEY", {old}'))
    assert found(typed, folder)["secrets"] == [
        ("ok", "stripe: env:KEY (0e686aae)", ""),
        ("warn", "stripe: env:KEY (0e686aae) verifies nothing since 2020-01-01T00:00:00Z", "Take it out"),
    ]


def test_a_key_that_changes_nothing_is_a_warning(folder: Path, typed: Typed) -> None:
    config = (folder / "postern.toml").read_text()
    (folder / "postern.toml").write_text(config.replace('"stripe"\n', '"github"\ntolerance_s = 3\n'))
    text = "[sources.stripe] tolerance_s changes nothing: this source's scheme does not use it"
    assert ("warn", text, "") in found(typed, folder)["configuration"]


# ── the store ──


def test_a_store_that_cannot_be_read_or_made_fails(folder: Path, typed: Typed) -> None:
    (folder / "bad.db").write_text("This is no database, but a text that is long enough to look at.")
    assert found(typed, folder, POSTERN_STORE__URL="sqlite:///bad.db")["store"] == [
        ("fail", f"the store cannot be read: file is not a database ({folder}/bad.db)", "Check [store] url.")
    ]
    assert found(typed, folder, POSTERN_STORE__URL="sqlite:///none/x.db")["store"] == [
        ("fail", f"{folder}/none is no folder that can be written", "Make it, or change [store] url")
    ]


def test_while_the_store_is_away_it_does_not_guess_who_is_alive(
    folder: Path, port: int, typed: Typed, serve: Callable[..., Serving]
) -> None:
    nowhere = f"postgresql://u:hidden@127.0.0.1:{free_port()}/shop"
    not_known = {"processes": [("warn", "not known while the store cannot be read", "")]}
    checks = found(typed, folder, POSTERN_STORE__URL=nowhere)
    assert checks["store"][0][1].startswith("the store cannot be reached: ")
    assert checks["port"] == [("ok", f"{port} is free", "")]
    assert {name: said for name, said in checks.items() if name in ("processes", "receiver", "worker")} == not_known
    serve(folder, "--port", str(port)).listening()
    checks = found(typed, folder, POSTERN_STORE__URL=nowhere)
    assert checks["port"] == [("ok", f"{port} is our own receiver's", "")]


def test_while_the_store_is_away_a_port_that_no_postern_answers_at_fails(folder: Path, port: int, typed: Typed) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        nowhere = f"postgresql://127.0.0.1:{free_port()}/shop"
        [(state, text, _)] = found(typed, folder, POSTERN_STORE__URL=nowhere)["port"]
    assert (state, text.partition(":")[0]) == ("fail", "cannot listen on 127.0.0.1")


@pytest.mark.parametrize("password", ["p-w", "p%20w"])
def test_the_reason_of_a_queue_never_holds_its_password(password: str) -> None:
    said = f"no redis://u:{password}@h/0, {password}, {unquote(password)}\nand more"
    assert _reason(OSError(said), f"redis://u:{password}@h/0") == "no redis://u:…@h/0, …, …"
    assert _reason(TimeoutError(), "redis://h") == "TimeoutError"


def test_a_store_that_somebody_keeps_locked_fails(folder: Path, shop: Stored, typed: Typed) -> None:
    held: list[dict[str, list[tuple[str, str, str]]]] = []
    shop.store.write_from_thread(lambda tx: held.append(found(typed, folder)))
    [(state, text, _)] = held[0]["store"]
    assert (state, text) == ("fail", f"the store cannot be written: database is locked ({folder}/postern.db)")


def test_a_clock_that_went_back_fails(folder: Path, shop: Stored, typed: Typed) -> None:
    shop.arrive(ago_s=-3600)
    [(state, text, fix)] = found(typed, folder)["clock"]
    assert (state, fix) == ("fail", "Put the clock right: signatures and retries depend on it")
    assert "and the store holds something of" in text


# ── who is alive ──


def test_a_receiver_that_does_not_answer_fails(folder: Path, port: int, shop: Stored, typed: Typed) -> None:
    shop.receiver(f"http://127.0.0.1:{port}")
    [(state, text, fix)] = found(typed, folder)["receiver"]
    assert (state, fix) == ("fail", "Restart postern serve")
    assert text == f"process {os.getpid()} on {gethostname()} does not answer at http://127.0.0.1:{port}: ConnectError"


def test_a_receiver_that_could_not_read_its_new_configuration_fails(folder: Path, shop: Stored, typed: Typed) -> None:
    number = shop.receiver("http://127.0.0.1:1")
    shop.store.write_from_thread(lambda tx: processes.troubled(tx, number, "stripe had keys and now has none"))
    _, (state, text, fix) = found(typed, folder)["receiver"]
    assert (state, fix) == ("fail", f"Mend it, and type kill -HUP {os.getpid()} there")
    assert text.endswith("goes on with its old configuration: stripe had keys and now has none")


def test_a_worker_with_trouble_fails_and_names_it(folder: Path, shop: Stored, typed: Typed) -> None:
    shop.worker(trouble="'webhooks' does not import (webhooks.py:3)")
    shop.worker(offer("book"))
    (state, text, fix), works = found(typed, folder)["worker"]
    assert (state, fix) == ("fail", "Mend it, and restart postern serve")
    assert text.endswith("does nothing: 'webhooks' does not import (webhooks.py:3)")
    assert works[0] == "ok"


def test_a_port_that_somebody_else_has_fails(folder: Path, port: int, shop: Stored, typed: Typed) -> None:
    shop.receiver("http://127.0.0.1:1")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert found(typed, folder)["port"] == [
            ("fail", f"cannot listen on 127.0.0.1:{port}: Address already in use ([server] host and port)",
             f"Stop what uses it, or choose another: postern serve --port {port + 1}"),
        ]  # fmt: skip


# ── handlers ──


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import nothing_of_this_name\n",
         "the handler module 'webhooks' does not import: ModuleNotFoundError: No module named 'nothing_of_this_name'"
         " ({folder}/webhooks.py:1)"),
        ("\nraise SystemExit('not here')\n",
         "the handler module 'webhooks' does not import: SystemExit: not here ({folder}/webhooks.py:2)"),
        ("import os, sys\nsys.stderr.write('at last\\n')\nsys.stderr.flush()\nos._exit(3)\n",
         "importing ended the process, exit code 3: at last ([handlers] modules)"),
        (HANDLERS + '\n@on("stripe", name="book")\ndef other(event: Event, ctx: SyncContext) -> None: ...\n',
         "two handlers are named 'book': {folder}/webhooks.py:8 and {folder}/webhooks.py:11"),
    ],
)  # fmt: skip
def test_handlers_that_a_worker_would_not_take_fail(folder: Path, typed: Typed, code: str, text: str) -> None:
    with_handlers(folder, code)
    [(state, said, _)] = found(typed, folder)["handlers"]
    assert (state, said) == ("fail", text.format(folder=folder))


def test_a_handler_of_a_source_that_is_not_there_is_a_warning(folder: Path, typed: Typed) -> None:
    with_handlers(folder, HANDLERS.replace('"stripe"', '"strip"'))
    assert found(typed, folder)["handlers"] == [
        ("ok", "webhooks: book", ""),
        ("warn", f"book asks for the source 'strip', which is not configured ({folder}/webhooks.py:8)",
         "Add [sources.strip], or name another in @on"),
    ]  # fmt: skip


def test_a_module_without_handlers_is_a_warning(folder: Path, typed: Typed) -> None:
    with_handlers(folder, "")
    assert found(typed, folder)["handlers"] == [("warn", "webhooks: none", "")]

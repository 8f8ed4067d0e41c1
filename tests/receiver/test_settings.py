"""What postern.toml, `.env` and the environment mean, and what is said where they are wrong."""

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from receiver.errors import UserError
from receiver.references import Secret
from receiver.settings import ApiKeyAuth, BasicAuth, BearerAuth, Settings, SourceSettings, load, shown_url
from receiver.toml_lines import line_of

Read = Callable[..., Settings]
Fail = Callable[..., str]

MOST_LINES = 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Read:
    """Writes ./postern.toml and reads it, with these variables as the process's own."""

    def write_and_load(toml: str = "", dotenv: str = "", **environ: str) -> Settings:
        (folder / "postern.toml").write_text(toml, "utf-8")
        (folder / ".env").write_text(dotenv, "utf-8")
        return load(environ=environ)

    return write_and_load


@pytest.fixture
def fail(read: Read) -> Fail:
    """The whole text of the error that this configuration gives."""

    def refuse(toml: str = "", dotenv: str = "", **environ: str) -> str:
        with pytest.raises(UserError) as caught:
            read(toml, dotenv, **environ)
        assert len(str(caught.value).splitlines()) <= MOST_LINES
        return str(caught.value)

    return refuse


def references(source: SourceSettings) -> list[str]:
    return [entry.ref for entry in source.secrets]


# Which file


def test_without_a_file_everything_has_its_default_and_paths_start_in_the_current_folder(
    folder: Path,
) -> None:
    settings = load(environ={})
    assert (settings.path, settings.root) == (None, folder)
    assert (settings.server.host, settings.server.port, settings.server.admin_port) == (
        "127.0.0.1",
        8000,
        None,
    )
    assert settings.server.trusted_proxies == ()
    assert settings.store.url == f"sqlite:///{folder}/postern.db"
    assert settings.queue.url == "memory://"
    worker = settings.worker
    assert (worker.concurrency, worker.lease_s, worker.retry_first_s, worker.retry_factor) == (32, 30, 5, 3)
    assert (worker.retry_cap_s, worker.max_failures, worker.timeout_s) == (43200, 12, 300)
    assert (settings.public_url, settings.admin_token, settings.warnings) == (None, None, ())
    assert (dict(settings.sources), dict(settings.apis), settings.handlers.modules) == ({}, {}, ())


def test_the_named_file_wins_over_the_variable_and_that_over_the_current_folder(folder: Path) -> None:
    for name in ("postern", "variable", "named"):
        (folder / f"{name}.toml").write_text(f'public_url = "https://{name}.example"')
    variable = {"POSTERN_CONFIG": "variable.toml"}
    assert load(environ={}).public_url == "https://postern.example"
    assert load(environ=variable).public_url == "https://variable.example"
    assert load(Path("named.toml"), variable).public_url == "https://named.example"


def test_relative_paths_start_at_the_files_folder_wherever_one_stands(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "postern.toml").write_text('[store]\nurl = "sqlite:///data/events.db"')
    (folder / "there" / "key").write_text("from the file\n")
    settings = load(Path("there/postern.toml"), {})
    assert (settings.path, settings.root) == (folder / "there" / "postern.toml", folder / "there")
    assert settings.store.url == f"sqlite:///{folder}/there/data/events.db"
    assert settings.resolve("file:key", "here") == b"from the file"


def test_an_absolute_sqlite_path_and_a_postgresql_url_stay_as_they_are(read: Read) -> None:
    assert read('[store]\nurl = "sqlite:////var/lib/p.db"').store.url == "sqlite:////var/lib/p.db"
    assert read('[store]\nurl = "postgresql://u:p@h/db"').store.url == "postgresql://u:p@h/db"
    assert read('[store]\nurl = "postgres://u:p@h/db"').store.url == "postgres://u:p@h/db"


def test_a_named_file_that_does_not_exist_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError) as by_variable:
        load(environ={"POSTERN_CONFIG": "gone.toml"})
    assert str(by_variable.value) == (
        "gone.toml does not exist\n  at POSTERN_CONFIG\n  Name another file, or write one with postern init"
    )
    with pytest.raises(UserError, match="--config"):
        load(Path("gone.toml"), {})


def test_a_folder_in_the_files_place_and_bytes_that_are_no_text_are_errors(folder: Path) -> None:
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    for path, text in (
        (folder, "cannot be read: Is a directory"),
        (folder / "bytes.toml", "is not UTF-8 text"),
    ):
        with pytest.raises(UserError, match=text):
            load(path, {})


# What the file says


def test_every_key_of_the_contract_is_known(read: Read) -> None:
    settings = read(
        """
        public_url = "https://hooks.example.com"
        admin_token = "env:TOKEN"
        [server]
        host = "0.0.0.0"
        port = 9000
        trusted_proxies = ["10.0.0.0/8", "::1"]
        admin_port = 9001
        [queue]
        url = "rediss://host:6379/0"
        [worker]
        concurrency = 4
        lease_s = 0.5
        retry_first_s = 1
        retry_factor = 1
        retry_cap_s = 2.5
        max_failures = 1
        timeout_s = 60
        [sources.acme-1]
        preset = "p"
        scheme = "hmac"
        secrets = ["env:A", "file:b", "literal:c"]
        tolerance_s = 1.5
        max_body_bytes = 1
        public_url = "https://h/p"
        signature = ["header:A", "body:a"]
        signature_format = "{signature}"
        signature_separator = ","
        every_signature = true
        body_format = "form"
        handshakes = [{method = "GET"}]
        content = "{body}"
        hash = "sha512"
        encoding = "base64"
        secret_encoding = "hex"
        secret_prefix = "whsec_"
        dedupe_window_s = 1
        timestamp = "header:T"
        timestamp_unit = "iso"
        nonce = "body:n"
        id = "header:I"
        type = "{header:E}.{body:a}"
        data = "body:d"
        items = "body:e[*]"
        occurred_at = "body:t"
        answer = {body = "[accepted]"}
        public_keys = ["literal:k"]
        keys = {"kid-or-url" = "file:key.pem"}
        trust_anchors = ["file:ca.pem"]
        verify_token = "env:V"
        webhook_id = "w"
        topic_arn = ["a", "b"]
        audience = "x"
        service_account = "y"
        public_key_id = "z"
        keyid = "k"
        alg = "a"
        sample_headers = {"X-Event" = "push"}
        sample_secret = "acme_…"
        docs = "https://docs"
        covers = "body"
        retries = "for a day"
        redeliver = "in its dashboard"
        proof = "by its library"
        [apis.ledger]
        base_url = "https://ledger.internal"
        timeout_s = 2
        idempotency_header = ""
        [handlers]
        modules = ["webhooks"]
        """
    )
    acme = settings.sources["acme-1"]
    assert references(acme) == ["env:A", "file:b", "literal:c"]
    assert acme.signature == ("header:A", "body:a")
    assert (acme.timestamp, acme.tolerance_s) == ("header:T", 1.5)
    assert None not in acme.model_dump().values()
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.apis["ledger"].idempotency_header == ""


def test_what_a_source_does_not_say_is_none_so_that_a_preset_can_say_it(read: Read) -> None:
    source = read("[sources.stripe]").sources["stripe"]
    assert source.model_dump(exclude_none=True) == {"secrets": ()}


@pytest.mark.parametrize(
    ("toml", "kind"),
    [
        ('{type = "bearer", token = "env:T"}', BearerAuth),
        ('{type = "basic", username = "me", password = "env:P"}', BasicAuth),
        ('{type = "api_key", header = "X-Key", key = "env:K"}', ApiKeyAuth),
        ('{type = "api_key", query = "api_key", key = "env:K"}', ApiKeyAuth),
    ],
)
def test_an_api_may_be_called_in_each_of_these_ways(read: Read, toml: str, kind: type) -> None:
    api = read(f'[apis.a]\nbase_url = "https://a"\nauth = {toml}').apis["a"]
    assert isinstance(api.auth, kind)
    assert (api.timeout_s, api.idempotency_header) == (10, "Idempotency-Key")


def test_an_api_key_goes_into_its_usual_header_unless_another_place_is_named(read: Read) -> None:
    auth = read('[apis.a]\nbase_url = "https://a"\nauth = {type = "api_key", key = "env:K"}').apis["a"].auth
    assert isinstance(auth, ApiKeyAuth)
    assert (auth.header, auth.query) == ("X-API-Key", None)


def test_a_user_name_is_plain_text_or_a_reference_and_resolves_either_way(read: Read) -> None:
    toml = '[apis.a]\nbase_url = "https://a"\nauth = {type = "basic", username = "%s", password = "env:P"}'
    for written in ("me", "env:ME"):
        settings = read(toml % written, ME="me")
        auth = settings.apis["a"].auth
        assert isinstance(auth, BasicAuth)
        assert settings.resolve(auth.username, "[apis.a] auth.username") == b"me"


def test_nothing_in_settings_can_be_changed(read: Read) -> None:
    settings = read('[sources.a]\nsecrets = ["env:A"]\nkeys = {k = "env:K"}')
    with pytest.raises(ValidationError):
        settings.server.port = 1
    for mapping in (settings.sources, settings.apis, settings.environ, settings.sources["a"].keys):
        with pytest.raises(TypeError):
            mapping["new"] = None  # type: ignore[index]


# What is wrong in the file


def test_an_unknown_key_is_told_with_file_line_and_the_nearest_one(fail: Fail) -> None:
    assert fail('[sources.stripe]\npreset = "stripe"\n\ntolerence_s = 300') == (
        "postern.toml:4: unknown key 'tolerence_s' in [sources.stripe]\n  Did you mean 'tolerance_s'?"
    )


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        (
            'publik_url = "https://h"',
            "postern.toml:1: unknown key 'publik_url'\n  Did you mean 'public_url'?",
        ),
        ("\n[sorces.stripe]", "postern.toml:2: unknown table [sorces]\n  Did you mean 'sources'?"),
        (
            '[store]\npassphrase = "x"',
            "postern.toml:2: unknown key 'passphrase' in [store]\n  Known here: url",
        ),
        (
            '[apis.a]\nbase_ulr = "https://a"',
            "postern.toml:2: unknown key 'base_ulr' in [apis.a]\n  Did you mean 'base_url'?",
        ),
        (
            '[apis.a]\nbase_url = "https://a"\nauth = {type = "bearer",\n  tokne = "env:T"}',
            "postern.toml:3: unknown key 'tokne' in [apis.a] auth\n  Did you mean 'token'?",
        ),
        ("root = 1", "postern.toml:1: unknown key 'root'\n  Known here: "),
    ],
)
def test_an_unknown_key_is_told_wherever_it_stands(fail: Fail, toml: str, text: str) -> None:
    assert fail(toml.replace(",\n ", ",")).startswith(text)


NO_STORE = (
    "[store] url: must be sqlite:///PATH or postgresql://…\n"
    "  Write sqlite:///postern.db for a file, or postgresql://USER:PASSWORD@HOST:5432/DATABASE"
)


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ("[server]\nport = 65536", "[server] port: must be less than or equal to 65535"),
        ("[server]\nport = -1", "[server] port: must be greater than or equal to 0"),
        ('[server]\nport = "eighty"', "[server] port: must be a whole number"),
        ("[server]\nport = 80.5", "[server] port: must be a whole number"),
        ("[server]\nport = true", "[server] port: must be a number"),
        ("[server]\nhost = 1", "[server] host: must be text"),
        ('[server]\nhost = ""', "[server] host: must not be empty"),
        (
            '[server]\ntrusted_proxies = ["*"]',
            "[server] trusted_proxies[0]: must be an IP address or a network such as 10.0.0.0/8",
        ),
        ("[worker]\nconcurrency = 0", "[worker] concurrency: must be greater than or equal to 1"),
        ("[worker]\nlease_s = 0", "[worker] lease_s: must be greater than 0"),
        ("[worker]\nlease_s = inf", "[worker] lease_s: must be less than or equal to 1000000000"),
        ("[worker]\nlease_s = nan", "[worker] lease_s: must be greater than 0"),
        ('[worker]\nlease_s = "soon"', "[worker] lease_s: must be a number"),
        ("[worker]\nretry_factor = 0.9", "[worker] retry_factor: must be greater than or equal to 1"),
        ('[store]\nurl = "mysql://h/d"', NO_STORE),
        ('[store]\nurl = "sqlite://"', NO_STORE),
        ('[store]\nurl = "sqlite:///:memory:"', NO_STORE),
        (
            '[queue]\nurl = "kafka://h"',
            "[queue] url: must be memory://, redis://… (rediss) or amqp://… (amqps)\n"
            "  Write redis://HOST:6379/0 or amqp://USER:PASSWORD@HOST:5672, or leave it out: the worker is inside then",
        ),
        ('\npublic_url = "hooks.example.com"', "public_url: must be http://HOST… or https://HOST…"),
        (
            '[apis.a]\nbase_url = "https://me:pw@a"',
            "[apis.a] base_url: must hold no user and password: they belong into auth",
        ),
        ('[sources.acme]\nhash = "md5"', "[sources.acme] hash: must be 'sha1', 'sha256' or 'sha512'"),
        ("[sources.acme]\nsignature = 5", "[sources.acme] signature: must be text"),
        ('[sources]\nacme = "x"', "[sources.acme]: must be a table"),
        ("\nserver = 1", "[server]: must be a table"),
        ("\n[[sources]]", "[sources]: must be a table"),
        (
            "\n[sources.Stripe]",
            "[sources.Stripe]: a source's name is up to 64 of a-z 0-9 _ . - and begins with a-z or 0-9",
        ),
        ("\n[apis.a]\ntimeout_s = 1", "[apis.a] base_url: must be given"),
    ],
)
def test_a_wrong_value_is_told_with_line_key_and_what_is_allowed(fail: Fail, toml: str, text: str) -> None:
    assert fail(toml) == f"postern.toml:2: {text}"


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ('{token = "env:T"}', 'auth: must have type = "bearer", "basic" or "api_key"'),
        ('{type = "oauth"}', 'auth: must have type = "bearer", "basic" or "api_key"'),
        ('{type = "bearer"}', "auth.token: must be given"),
        ('"bearer"', "auth: must be a table"),
        (
            '{type = "api_key", key = "env:K", header = "A", query = "b"}',
            "auth: must have header or query, not both",
        ),
        ('{type = "api_key", key = "env:K", header = "A: b"}', "auth.header: must be a header's name"),
    ],
)
def test_a_wrong_way_to_sign_in_is_told(fail: Fail, auth: str, text: str) -> None:
    assert fail(f'[apis.a]\nbase_url = "https://a"\nauth = {auth}') == f"postern.toml:3: [apis.a] {text}"


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "a" * 64])
def test_these_are_names_of_sources(read: Read, name: str) -> None:
    assert list(read(f'[sources."{name}"]').sources) == [name]


@pytest.mark.parametrize("name", ["", "-a", ".a", "A", "a b", "ä", "a/b", "a\\n", "a" * 65])
def test_these_are_no_names_of_sources(fail: Fail, name: str) -> None:
    assert "a source's name is up to 64 of" in fail(f'[sources."{name}"]')


SOUND = """[store]
url = "sqlite:////data/shop.db"
[queue]
url = "redis://localhost/0"
[sources.shop]
preset = "stripe"
"""


@pytest.mark.parametrize(
    ("wrong", "left_out"),
    [
        ('[sources.mail]\npresett = "x"\n', "[sources.mail]"),
        ('[sources.Mail]\npreset = "x"\n', "[sources.Mail]"),
        ("[sources]\nmail = 1\n", "[sources.mail]"),
        ('[apis.ledger]\nbase_url = "x"\nauth = {type = "odd"}\n', "[apis.ledger]"),
        ("[server]\nport = 0.5\nprt = 1\n", "[server]"),
        ("[serve]\nport = 1\n", "[serve]"),
    ],
)
def test_who_wants_the_store_alone_goes_on_without_what_is_wrong_elsewhere(
    folder: Path, wrong: str, left_out: str
) -> None:
    (folder / "postern.toml").write_text(SOUND + wrong)
    with pytest.raises(UserError) as caught:
        load(environ={})
    settings = load(environ={}, forgiving=True)
    assert settings.left_out == (left_out,)
    assert settings.warnings == (f"{caught.value}\n  Left out for now: {left_out}",)
    assert (settings.store.url, settings.queue.has_broker) == ("sqlite:////data/shop.db", True)
    assert (tuple(settings.sources), settings.apis, settings.server.port) == (("shop",), {}, 8000)


@pytest.mark.parametrize("wrong", ['[store]\nulr = "x"\n', '[stroe]\nurl = "x"\n', "[store\n"])
def test_a_store_that_is_not_known_for_sure_is_an_error_to_everybody(folder: Path, wrong: str) -> None:
    (folder / "postern.toml").write_text(wrong)
    with pytest.raises(UserError):
        load(environ={}, forgiving=True)


def test_a_wrong_variable_is_left_out_with_its_table(folder: Path) -> None:
    settings = load(environ={"POSTERN_WORKER__LEASE_S": "soon"}, forgiving=True)
    assert (settings.left_out, settings.worker.lease_s) == (("[worker]",), 30)


def test_a_syntax_error_is_told_with_its_line(fail: Fail) -> None:
    assert fail("[server]\nport 80") == ("postern.toml:2: not valid TOML: Expected '=' after a key in a key/value pair")
    assert fail("[server]\nport = [80,\n").startswith("postern.toml:2: not valid TOML: ")


# Secrets


@pytest.mark.parametrize(
    "written", ["2026-12-01T01:30:00+01:30", '"2026-12-01T00:00:00Z"', '"2026-12-01T00:00:00.000+00:00"']
)
def test_a_key_may_have_an_end(read: Read, written: str) -> None:
    toml = f'[sources.a]\nsecrets = ["env:NEW", {{ref = "env:OLD", not_after = {written}}}]\n'
    new, old = read(toml + 'public_keys = [{ref = "file:a.pem"}]').sources["a"].secrets
    assert (new.ref, new.ends_at) == ("env:NEW", None)
    assert (old.ref, old.ends_at) == ("env:OLD", datetime(2026, 12, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            '{ref = "env:A", not_after = 2026-12-01T00:00:00}',
            "secrets[0].not_after: must say of which zone this time is",
        ),
        ('{ref = "env:A", not_after = "2026-12-01T00:00:00"}', "secrets[0].not_after: must say of which zone"),
        (
            '{ref = "env:A", not_after = 2026-12-01}',
            "secrets[0].not_after: must be a time such as 2030-01-31T08:00:00Z",
        ),
        ('{ref = "env:A", not_after = "soon"}', "secrets[0].not_after: must be a time such as"),
        ('{ref = "env:A", not_after = "2026-13-01T00:00:00Z"}', "secrets[0].not_after: must be a time such as"),
        ('{ref = "env:A", not_after = 1796083200}', "secrets[0].not_after: must be a time such as"),
        ('{ref = "bare"}', "secrets[0].ref: a secret must be written env:NAME, file:PATH or literal:TEXT"),
        ("{not_after = 2026-12-01T00:00:00Z}", "secrets[0].ref: must be given"),
        (
            '{ref = "env:A", not_afer = 1}',
            "unknown key 'not_afer' in [sources.a] secrets[0]\n  Did you mean 'not_after'?",
        ),
        ("7", "secrets[0]: must be text"),
    ],
)
def test_an_end_that_makes_no_sense_is_told(fail: Fail, written: str, said: str) -> None:
    assert said in fail(f"[sources.a]\nsecrets = [{written}]")
    assert fail(f"[sources.a]\nsecrets = [{written}]").startswith("postern.toml:2: ")


def test_a_bare_secret_is_an_error_that_does_not_print_it(fail: Fail) -> None:
    assert fail('[sources.stripe]\nsecrets = ["whsec_bare"]') == (
        "postern.toml:2: [sources.stripe] secrets[0]: "
        "a secret must be written env:NAME, file:PATH or literal:TEXT\n"
        "  Write the secret into .env as NAME=… and env:NAME in its place"
    )


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('\nadmin_token = "bare"', "admin_token"),
        ('[sources.a]\nsecrets = ["env:A", "bare"]', "[sources.a] secrets[1]"),
        ('[sources.a]\nsecrets = ["env:bare+/="]', "[sources.a] secrets[0]"),
        ('[sources.a]\nsecrets = ["literal:"]', "[sources.a] secrets[0]"),
        ('[sources.a]\nkeys = {"k.1" = "bare"}', '[sources.a] keys."k.1"'),
        ('[sources.a]\npublic_keys = ["bare"]', "[sources.a] public_keys[0]"),
        ('[sources.a]\nverify_token = "bare"', "[sources.a] verify_token"),
        ('[apis.a]\nauth = {type = "bearer", token = "bare"}\nbase_url = "https://a"', "[apis.a] auth.token"),
        (
            '[apis.a]\nauth = {type = "basic", username = "u", password = "bare"}\nbase_url = "https://a"',
            "[apis.a] auth.password",
        ),
        ('[apis.a]\nauth = {type = "api_key", key = "bare"}\nbase_url = "https://a"', "[apis.a] auth.key"),
    ],
)
def test_a_bare_secret_is_refused_in_every_secrets_place(fail: Fail, toml: str, key: str) -> None:
    text = fail(toml)
    assert text.startswith(f"postern.toml:2: {key}: a secret must be written env:NAME, ")
    assert "bare" not in text


def test_a_secret_without_brackets_is_not_printed_and_the_brackets_are_shown(fail: Fail) -> None:
    assert fail('[sources.a]\nsecrets = "bare"') == (
        'postern.toml:2: [sources.a] secrets: must be a list\n  Put it into brackets: secrets = ["…"]'
    )


def test_a_missing_and_an_empty_variable_are_told_with_place_variable_and_what_to_type(
    read: Read, folder: Path
) -> None:
    settings = read('[sources.stripe]\nsecrets = ["env:KEY", "env:EMPTY"]', EMPTY=" ")
    where = "[sources.stripe] secrets[0]"
    with pytest.raises(UserError) as missing:
        settings.resolve(settings.sources["stripe"].secrets[0].ref, where)
    assert str(missing.value) == (
        "the variable KEY is not set\n"
        "  at [sources.stripe] secrets[0]\n"
        f"  Type export KEY=… or write KEY=… into {folder}/.env"
    )
    with pytest.raises(UserError, match="the variable EMPTY is empty"):
        settings.resolve("env:EMPTY", where)


@pytest.mark.parametrize(
    ("written", "secret"),
    [(b"s", b"s"), (b"s\n", b"s"), (b"s\n\n", b"s\n"), (b"s\r\n", b"s"), (b" s\r", b" s\r")],
)
def test_a_file_reference_drops_one_trailing_newline(read: Read, folder: Path, written: bytes, secret: bytes) -> None:
    (folder / "key").write_bytes(written)
    assert read().resolve("file:key", "here") == secret
    assert read().resolve(f"file:{folder}/key", "here") == secret


def test_a_file_that_cannot_be_read_or_is_empty_is_an_error(read: Read, folder: Path) -> None:
    (folder / "empty").write_text("\n")
    with pytest.raises(UserError) as missing:
        read().resolve("file:gone", "[sources.a] secrets[0]")
    assert str(missing.value) == (
        f"the file {folder}/gone cannot be read: No such file or directory\n  at [sources.a] secrets[0]"
    )
    with pytest.raises(UserError, match="is empty"):
        read().resolve("file:empty", "here")
    with pytest.raises(UserError, match="not a path"):
        read().resolve("file:a\0b", "here")


def test_a_literal_reference_is_the_text_itself_but_what_was_printed_is_no_key(read: Read) -> None:
    settings = read()
    assert settings.resolve(Secret("literal:a:b ü"), "here") == "a:b ü".encode()
    for reference in ("bare", "literal:", str(Secret("literal:hidden")), ""):
        with pytest.raises(UserError, match="a secret must be written"):
            settings.resolve(reference, "here")


def test_bytes_of_a_variable_that_are_no_text_arrive_unchanged(read: Read) -> None:
    assert read(KEY="\udcff").resolve("env:KEY", "here") == b"\xff"


def test_no_secret_shows_when_settings_are_printed_or_dumped(read: Read) -> None:
    settings = read(
        """
        public_url = "https://u:hidden@h/"
        [store]
        url = "postgresql://u:hid/den@h/db?sslpassword=hidden"
        [queue]
        url = "redis://:hidden@h"
        [sources.a]
        secrets = ["literal:hidden", "env:KEY"]
        keys = {k = "literal:hidden"}
        [apis.a]
        base_url = "https://a"
        auth = {type = "basic", username = "hidden", password = "literal:hidden"}
        """,
        KEY="hidden",
        POSTERN_ADMIN_TOKEN="hidden",
    )
    secret = settings.sources["a"].secrets[0].ref
    shown = [repr(settings), str(settings), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])]  # noqa: UP031
    for text in (*shown, settings.sources["a"].model_dump_json(), settings.apis["a"].model_dump_json()):
        assert "hid" not in text
    assert str(secret) == "literal:…"
    assert str(settings.sources["a"].secrets[1].ref) == "env:KEY"
    assert "KEY" not in settings.model_dump_json(include={"environ"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:pw@host/db", "postgresql://user:…@host/db"),
        ("postgresql://user:p@w/x@host/db?password=pw&a=b", "postgresql://user:…@host/db?password=…&a=b"),
        ("redis://:pw@host:6379/0", "redis://:…@host:6379/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("sqlite:////var/postern.db", "sqlite:////var/postern.db"),
    ],
)
def test_a_shown_url_keeps_all_but_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


# Variables


@pytest.mark.parametrize("name", ["POSTERN_SERVER__PORT", "postern_server__port", "Postern_Server__Port"])
def test_a_variable_overrides_the_file_in_any_case(read: Read, name: str) -> None:
    settings = read("[server]\nport = 1\nhost = 'h'", **{name: "9000"})
    assert (settings.server.port, settings.server.host) == (9000, "h")


def test_variables_reach_every_depth(read: Read) -> None:
    settings = read(
        """
        [sources.stripe]
        preset = "stripe"
        [apis.a]
        base_url = "https://a"
        auth = {type = "bearer", token = "env:A"}
        """,
        POSTERN_PUBLIC_URL="https://from.variable",
        POSTERN_STORE__URL="sqlite:///v.db",
        POSTERN_WORKER__LEASE_S="1.5",
        POSTERN_HANDLERS__MODULES='["a", "b"]',
        POSTERN_SOURCES__STRIPE__SECRETS='["env:NEW", "env:OLD"]',
        POSTERN_SOURCES__STRIPE__SIGNATURE_FORMAT='"{signature}"',
        POSTERN_SOURCES__OTHER='{preset = "github", secrets = ["env:G"]}',
        POSTERN_SOURCES__OTHER__TOLERANCE_S="9",
        POSTERN_APIS__A__AUTH__TOKEN="env:B",
    )
    assert settings.public_url == "https://from.variable"
    assert settings.store.url == f"sqlite:///{settings.root}/v.db"
    assert (settings.worker.lease_s, settings.handlers.modules) == (1.5, ("a", "b"))
    stripe, other = settings.sources["stripe"], settings.sources["other"]
    assert (stripe.preset, stripe.signature_format) == ("stripe", "{signature}")
    assert references(stripe) == ["env:NEW", "env:OLD"]
    assert (other.preset, references(other), other.tolerance_s) == ("github", ["env:G"], 9)
    assert settings.apis["a"].auth == BearerAuth(type="bearer", token=Secret("env:B"))
    assert settings.warnings == ()


def test_dashes_and_dots_in_a_name_match_underscores_in_a_variable(read: Read) -> None:
    settings = read('[sources.shop-eu]\n[sources."shop.us"]', POSTERN_SOURCES__SHOP_EU__PRESET="eu")
    assert settings.sources["shop-eu"].preset == "eu"
    assert settings.sources["shop.us"].preset is None
    settings = read("[sources.a-b]\n[sources.a_b]", POSTERN_SOURCES__A_B__PRESET="exact")
    assert (settings.sources["a-b"].preset, settings.sources["a_b"].preset) == (None, "exact")


def test_a_variable_that_fits_two_names_is_an_error(fail: Fail) -> None:
    assert fail('[sources.a-b]\n[sources."a.b"]', POSTERN_SOURCES__A_B__PRESET="x") == (
        "POSTERN_SOURCES__A_B__PRESET fits more than one name: a-b, a.b\n  Set the key in the file instead"
    )


def test_the_variable_of_the_admin_token_holds_the_secret_itself(read: Read) -> None:
    for token in ("t0ken", "[t0ken", "env:OTHER"):
        settings = read('admin_token = "env:POSTERN_ADMIN_TOKEN"', POSTERN_ADMIN_TOKEN=token)
        assert settings.admin_token is not None
        assert settings.resolve(settings.admin_token, "admin_token") == token.encode()
    assert read('admin_token = "env:OTHER"').admin_token == "env:OTHER"


def test_an_empty_admin_token_is_none(read: Read) -> None:
    assert read(POSTERN_ADMIN_TOKEN="").admin_token is None
    assert read('admin_token = "env:OTHER"', POSTERN_ADMIN_TOKEN=" ").admin_token == "env:OTHER"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("POSTERN_SERVER__PORT", "hidden", "POSTERN_SERVER__PORT: [server] port: must be a whole number"),
        ("POSTERN_WORKER__LEASE_S", "0", "POSTERN_WORKER__LEASE_S: [worker] lease_s: must be greater than 0"),
        ("POSTERN_SERVER", "hidden", "POSTERN_SERVER: [server]: must be a table"),
        (
            "POSTERN_HANDLERS__MODULES",
            "hidden",
            'POSTERN_HANDLERS__MODULES: [handlers] modules: must be a list\n  Put it into brackets: modules = ["…"]',
        ),
        (
            "POSTERN_SOURCES__A__SECRETS",
            '["hidden"]',
            "POSTERN_SOURCES__A__SECRETS: [sources.a] secrets[0]: "
            "a secret must be written env:NAME, file:PATH or literal:TEXT\n"
            "  Write the secret into .env as NAME=… and env:NAME in its place",
        ),
        (
            "POSTERN_SOURCES__A",
            '{tolerence_s = 1, preset = "hidden"}',
            "POSTERN_SOURCES__A: unknown key 'tolerence_s' in [sources.a]\n  Did you mean 'tolerance_s'?",
        ),
        (
            "POSTERN_SOURCES__A__SECRETS",
            '["hidden"',
            "POSTERN_SOURCES__A__SECRETS: must be a TOML value\n"
            '  What begins with [, { or " is read as TOML; such a text is written "…"',
        ),
    ],
)
def test_a_wrong_value_in_a_variable_is_told_by_the_variables_name(
    fail: Fail, name: str, value: str, text: str
) -> None:
    assert fail("[server]\nport = 80", **{name: value}) == text


def test_a_wrong_value_beside_a_variable_is_still_told_by_its_line(fail: Fail) -> None:
    assert fail("server = 1", POSTERN_SERVER__PORT="9000") == "postern.toml:1: [server]: must be a table"


def test_an_unknown_variable_is_one_warning_with_the_nearest_known_one(read: Read) -> None:
    settings = read(
        "[sources.shop-eu]",
        POSTERN_SERVER_PORT="1",
        POSTERN_SOURCES__SHOP_EU__TOLERENCE_S="1",
        POSTERN_SERVICE_HOST="10.0.0.1",
        POSTERN_ROOT="/",
        OTHER="x",
    )
    assert sorted(settings.warnings) == [
        "POSTERN_ROOT: unknown variable, ignored",
        "POSTERN_SERVER_PORT: unknown variable, ignored; did you mean POSTERN_SERVER__PORT?",
        "POSTERN_SERVICE_HOST: unknown variable, ignored; did you mean POSTERN_SERVER__HOST?",
        "POSTERN_SOURCES__SHOP_EU__TOLERENCE_S: unknown variable, ignored; "
        "did you mean POSTERN_SOURCES__SHOP_EU__TOLERANCE_S?",
    ]


def test_variables_of_the_tests_the_configs_own_and_those_that_a_reference_names_are_known(
    read: Read,
) -> None:
    settings = read(
        '[sources.a]\nsecrets = ["env:POSTERN_KEY"]',
        POSTERN_TEST_REDIS="x",
        POSTERN_CONFIG="postern.toml",
        POSTERN_KEY="k",
    )
    assert settings.warnings == ()


# .env


def test_dotenv_is_read_for_references_and_overrides_and_the_process_wins(read: Read) -> None:
    settings = read(
        dotenv="A=file\nB=file\nPOSTERN_SERVER__PORT=1\nPOSTERN_SERVER__HOST=h",
        B="process",
        POSTERN_SERVER__PORT="2",
    )
    assert settings.resolve("env:A", "here") == b"file"
    assert settings.resolve("env:B", "here") == b"process"
    assert (settings.server.port, settings.server.host) == (2, "h")


def test_dotenv_beside_the_file_counts_and_not_that_of_the_current_folder(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "postern.toml").touch()
    (folder / "there" / ".env").write_text("A=there")
    (folder / ".env").write_text("A=here")
    assert load(Path("there/postern.toml"), {}).environ["A"] == "there"
    assert load(environ={}).environ["A"] == "here"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=plain", "plain"),
        ("  KEY = spaced out  ", "spaced out"),
        ("export KEY=exported", "exported"),
        ("KEY=a=b==", "a=b=="),
        ("KEY=with # comment", "with"),
        ("KEY=with#no-comment", "with#no-comment"),
        ("KEY=#1", "#1"),
        ("KEY= # nothing", ""),
        ("KEY=", ""),
        ("KEY='single # \\n kept' # comment", "single # \\n kept"),
        ('KEY="double \\"q\\" \\\\ \\n \\d" # comment', 'double "q" \\ \n \\d'),
        ("KEY=''", ""),
        ("KEY=windows\r", "windows"),
        ("KEY=ü", "ü"),
    ],
)
def test_a_line_of_dotenv_means(read: Read, line: str, value: str) -> None:
    settings = read(dotenv=f"# first\n\n{line}\nLAST=last")
    assert (settings.environ["KEY"], settings.environ["LAST"]) == (value, "last")
    assert settings.warnings == ()


@pytest.mark.parametrize("line", ["hidden", "KEY='hidden", 'KEY="hidden" more', "1KEY=hidden"])
def test_a_line_of_dotenv_that_says_nothing_is_a_warning_that_does_not_print_it(
    read: Read, folder: Path, line: str
) -> None:
    settings = read(dotenv=f"A=a\n{line}\nB=b")
    assert settings.warnings == (f"{folder}/.env:2: skipped, it is not NAME=VALUE on one line",)
    assert (settings.environ["A"], settings.environ["B"]) == ("a", "b")


def test_dotenv_that_is_no_text_is_an_error(folder: Path) -> None:
    (folder / ".env").write_bytes(b"A=\xff")
    with pytest.raises(UserError) as caught:
        load(environ={})
    assert str(caught.value) == f"{folder}/.env cannot be read: it is not UTF-8"


# Lines


TOML = '''# [comment]
public_url = "https://x" # [server]
"quoted key" = 1
text = """
[not.a.table]
fake = 1 \\"""
"""
raw = \'\'\'
fake = 2\'\'\'\'
when = 1979-05-27 07:32:00 # a date
[ sources . "a.b" ]
secrets = [
  "env:A", # one ]
  'env:B',
  {deep = [1, 2]},
]
auth = {type = "x", nested.key = "}"}
server.port = 1
[[list]]
x = {}
[sources.c]
y = []
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("public_url",), 2),
        (("quoted key",), 3),
        (("text",), 4),
        (("raw",), 8),
        (("when",), 10),
        (("sources",), 11),
        (("sources", "a.b"), 11),
        (("sources", "a.b", "secrets"), 12),
        (("sources", "a.b", "secrets", 0), 13),
        (("sources", "a.b", "secrets", 1), 14),
        (("sources", "a.b", "secrets", 2, "deep", 1), 15),
        (("sources", "a.b", "auth", "nested", "key"), 17),
        (("sources", "a.b", "server", "port"), 18),
        (("list", "x"), 20),
        (("sources", "c", "y"), 22),
        (("sources", "c", "missing"), 21),
        (("server",), 1),
        (("sources", "a.b", "fake"), 11),
    ],
)
def test_a_key_is_found_on_its_line_and_a_missing_one_at_its_table(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TOML)
    assert line_of(TOML, path) == line


def test_json_of_a_source_is_plain_data(read: Read) -> None:
    source = read('[sources.a]\nanswer = {a = "b"}\nsample_headers = {X = "y"}').sources["a"]
    dumped = json.loads(source.model_dump_json(exclude_none=True))
    assert dumped == {"secrets": [], "answer": {"a": "b"}, "sample_headers": {"X": "y"}}
    assert source.model_dump(exclude_none=True)["answer"] == {"a": "b"}

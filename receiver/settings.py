"""The model of postern.toml, frozen, read once by `load` and passed down. Nothing else reads the environment.

References to secrets stay references here; whoever needs a secret asks `Settings.resolve`.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, ValidationError, model_validator

from receiver import environment, references
from receiver.complaints import Written, complaint, described
from receiver.errors import UserError
from receiver.references import Secret
from receiver.setting_types import (
    Factor,
    Frozen,
    HeaderName,
    HttpUrl,
    Instant,
    Locator,
    Network,
    PlainOrSecret,
    Port,
    Positive,
    QueueUrl,
    Seconds,
    SourceName,
    StoreUrl,
    Text,
    UpstreamUrl,
)
from receiver.toml_lines import KeyPath

DEFAULT_FILE = "postern.toml"
_SQLITE = "sqlite:///"


def shown_url(url: str) -> str:
    """A URL fit for logs and messages: without the passwords in it."""
    url = re.sub(r"(://[^:/?#]*:).*@", r"\1…@", url)
    return re.sub(r"([?&]\w*(?:password|token|secret)\w*=)[^&#]*", r"\1…", url, flags=re.IGNORECASE)


class Table(BaseModel):
    """A table of the file. Printed, it shows no secret and no URL's password."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if value is not None:
                yield name, shown_url(value) if type(value) is str else value


class ServerSettings(Table):
    host: Text = "127.0.0.1"
    port: Port = 8000
    trusted_proxies: tuple[Network, ...] = ()
    admin_port: Port | None = None


class StoreSettings(Table):
    """`load` makes the path of a SQLite file absolute."""

    url: StoreUrl = "sqlite:///postern.db"


class QueueSettings(Table):
    url: QueueUrl = "memory://"

    @property
    def has_broker(self) -> bool:
        """Then the worker is not inside `postern serve`: `postern worker` is a process of its own."""
        return self.url != "memory://"


class WorkerSettings(Table):
    concurrency: Positive = 32
    lease_s: Seconds = 30
    retry_first_s: Seconds = 5
    retry_factor: Factor = 3
    retry_cap_s: Seconds = 43200
    max_failures: Positive = 12
    timeout_s: Seconds = 300


class KeySettings(Table):
    """Where a key of a source is, and from when on it verifies nothing any more. Without an end it is written alone."""

    ref: Secret
    not_after: Instant | None = None

    @property
    def ends_at(self) -> float | None:
        """Epoch seconds."""
        return None if self.not_after is None else self.not_after.timestamp()


KeyEntry = Annotated[KeySettings, BeforeValidator(lambda said: said if isinstance(said, dict) else {"ref": said})]


class SourceSettings(Table):
    """One source; a preset is these same keys. None is what nobody wrote: the preset's value counts."""

    preset: str | None = None
    scheme: str | None = None
    secrets: tuple[KeyEntry, ...] = ()
    tolerance_s: Seconds | None = None
    max_body_bytes: Positive | None = None
    public_url: HttpUrl | None = None
    signature: Locator | None = None
    signature_format: str | None = None
    signature_separator: str | None = None
    every_signature: bool | None = None  # each place in `signature` counts, not only the first that is there
    content: str | None = None
    hash: Literal["sha1", "sha256", "sha512"] | None = None
    encoding: Literal["hex", "base64"] | None = None
    secret_encoding: Literal["utf8", "hex", "base64", "prefixed"] | None = None
    secret_prefix: str | None = None
    dedupe_window_s: Seconds | None = None
    timestamp: Locator | None = None
    timestamp_unit: Literal["s", "ms", "iso"] | None = None
    nonce: Locator | None = None  # what the sender may use for one body only
    id: Locator | None = None
    type: Locator | None = None
    data: Locator | None = None
    items: Locator | None = None
    occurred_at: Locator | None = None
    body_format: Literal["json", "form", "lines"] | None = None
    handshakes: tuple[Frozen[str, Any], ...] | None = None  # how each is recognised and answered
    answer: Frozen[str, Any] | None = None  # how an accepted delivery is answered, where not in our own way
    # Schemes with public keys, tokens and certificates.
    public_keys: tuple[KeyEntry, ...] | None = None
    keys: Frozen[str, Secret] | None = None
    trust_anchors: tuple[Secret, ...] | None = None
    verify_token: Secret | None = None
    webhook_id: str | None = None
    topic_arn: Locator | None = None
    audience: Locator | None = None
    service_account: Locator | None = None
    public_key_id: str | None = None
    keyid: str | None = None
    alg: str | None = None
    # About the vendor, for people.
    sample_headers: Frozen[str, str] | None = None
    sample_secret: str | None = None
    docs: str | None = None
    covers: str | None = None
    retries: str | None = None
    redeliver: str | None = None
    proof: str | None = None


class BearerAuth(Table):
    type: Literal["bearer"]
    token: Secret


class BasicAuth(Table):
    type: Literal["basic"]
    username: PlainOrSecret
    password: Secret


class ApiKeyAuth(Table):
    """The key goes into `query` where that is set, else into `header`."""

    type: Literal["api_key"]
    key: Secret
    header: Annotated[HeaderName, Field(min_length=1)] = "X-API-Key"
    query: Text | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.query and "header" in self.model_fields_set:
            raise ValueError("must have header or query, not both")
        return self


Auth = Annotated[BearerAuth | BasicAuth | ApiKeyAuth, Field(discriminator="type")]


class ApiSettings(Table):
    base_url: UpstreamUrl
    auth: Auth | None = None
    timeout_s: Seconds = 10
    idempotency_header: HeaderName = "Idempotency-Key"  # "": this upstream honours none


class HandlerSettings(Table):
    modules: tuple[Text, ...] = ()


class Configuration(Table):
    """All that postern.toml can say."""

    public_url: HttpUrl | None = None
    admin_token: Secret | None = None
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    queue: QueueSettings = QueueSettings()
    worker: WorkerSettings = WorkerSettings()
    sources: Frozen[SourceName, SourceSettings] = Field(default_factory=dict)
    apis: Frozen[str, ApiSettings] = Field(default_factory=dict)
    handlers: HandlerSettings = HandlerSettings()


class Settings(Configuration):
    """The configuration, and where it was read: `root` is the folder at which its relative paths start."""

    path: Path | None = None
    root: Path = Path()
    # Not validated: a variable that nobody asks for may hold bytes that are no text.
    environ: SkipValidation[Mapping[str, str]] = Field(default_factory=dict, repr=False, exclude=True)
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Tables and keys that are not as they were written: something in them is wrong, and `load` was to go on."""

    def resolve(self, reference: str, where: str) -> bytes:
        """The secret itself; `where` is the key that holds the reference, for the error's text."""
        return references.read(reference, where, self.root, self.environ)


def load(config: Path | None = None, environ: Mapping[str, str] | None = None, *, forgiving: bool = False) -> Settings:
    """Reads the file that is named here, else by POSTERN_CONFIG, else ./postern.toml where there is one.

    For those who want only the store: `forgiving` leaves out what is wrong outside of [store], with a warning.
    """
    process = os.environ if environ is None else environ
    named = config or process.get("POSTERN_CONFIG")
    file = Path(named or DEFAULT_FILE)
    text = _text(file, "--config" if config else "POSTERN_CONFIG") if named or file.exists() else None
    root = file.absolute().parent
    variables, odd = environment.over_dotenv(root, process)
    table = _parsed(file, text or "")
    origins, unknown = environment.override(Configuration, table, variables)
    left_out: tuple[str, ...] = ()
    try:
        configuration = Configuration.model_validate(table)
    except ValidationError as found:
        error = complaint(found, Written(str(file), text or "", table, origins), Configuration)
        wrong = _wrong(found)
        if not forgiving or not _store_is_known(table, wrong):
            raise error from None
        configuration = Configuration.model_validate(_without(table, wrong))
        left_out = tuple(map(described, wrong))
        odd.append(f"{error}\n  Left out for now: {', '.join(left_out)}")
    said = {name: getattr(configuration, name) for name in Configuration.model_fields}
    said["store"] = StoreSettings(url=absolute(configuration.store.url, root))
    said["path"] = None if text is None else file.absolute()
    said["left_out"] = left_out
    return Settings(**said, root=root, environ=MappingProxyType(variables), warnings=(*odd, *unknown))


def _wrong(found: ValidationError) -> list[KeyPath]:
    """The tables that hold the errors, each once; of the sources and the apis single ones."""
    places = [error["loc"] for error in found.errors(include_url=False, include_input=False)]
    return list(dict.fromkeys(place[: 2 if place[0] in ("sources", "apis") else 1] for place in places))


def _store_is_known(table: Mapping[str, Any], wrong: Iterable[KeyPath]) -> bool:
    """A misspelt [store] is an unknown table: the default one in its place would be another store."""
    unknown = any(place[0] not in Configuration.model_fields for place in wrong)
    return ("store",) not in wrong and ("store" in table or not unknown)


def _without(table: Mapping[str, Any], wrong: Iterable[KeyPath]) -> dict[str, Any]:
    rest: dict[Any, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in table.items()}
    for *above, last in wrong:
        held = rest[above[0]] if above else rest
        held.pop(last, None)
    return rest


def _text(file: Path, named_by: str) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        fix = "Name another file, or write one with postern init"
        raise UserError(f"{file} does not exist", named_by, fix) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}", named_by) from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text", named_by) from None


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        reason, _, position = str(error).partition(" (at ")
        line = re.search(r"line (\d+)", position)
        number = int(line[1]) if line else text.rstrip().count("\n") + 1
        raise UserError(f"{file}:{number}: not valid TOML: {reason}") from None


def absolute(url: str, root: Path) -> str:
    """A store's URL, of which a relative path starts at the configuration's folder."""
    return f"{_SQLITE}{root / url.removeprefix(_SQLITE)}" if url.startswith(_SQLITE) else url

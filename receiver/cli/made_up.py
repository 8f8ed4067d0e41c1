"""The keys of a source in a new project: made up, in the form that its scheme takes, and enough to send offline."""

import base64
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from receiver.errors import UserError
from receiver.schemes import AsksVendor, Scheme
from receiver.schemes.reader import Reader

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_PLACEHOLDERS: Final = {
    "webhook_id": "8PT597110X687430LKGECATA",
    "topic_arn": "arn:aws:sns:us-east-1:123456789012:orders",
    "audience": "https://hooks.example.com/webhooks",
    "service_account": "push@your-project.iam.gserviceaccount.com",
    "public_key_id": "your_public_key",
}
"""For what is no secret, and yet another one for every user."""
_TO_SIGN: Final = "  # a private key of yours, so that postern send can sign"


@dataclass(frozen=True, slots=True)
class MadeUp:
    lines: tuple[str, ...]
    """Of the source's table in postern.toml."""
    secrets: Mapping[str, str]
    """What they refer to, by variable."""
    is_public_key: bool = False
    """What the vendor gives in the secret's place is its public key."""


def made_up_keys(scheme: Scheme, keys: Mapping[str, Any], prefix: str) -> MadeUp:
    """`keys` are the source's own and its preset's, `prefix` is what its variables begin with."""
    asked = (*scheme.lacks, *scheme.lacks_for_handshakes) if isinstance(scheme, Reader) else ()
    secret, is_private_key = _secret(scheme, keys)
    variables = {f"{prefix}_WEBHOOK_SECRET": secret}
    lines = [f'secrets = ["env:{prefix}_WEBHOOK_SECRET"]{_about(scheme, is_private_key)}']
    lines += [f'{key} = "{_PLACEHOLDERS[key]}"  # put yours here' for key in asked if key in _PLACEHOLDERS]
    if "verify_token" in asked:
        variables[f"{prefix}_VERIFY_TOKEN"] = _letters()
        lines.append(f'verify_token = "env:{prefix}_VERIFY_TOKEN"  # tell the vendor: it shows it in its handshake')
    return MadeUp(tuple(lines), variables, is_private_key and not isinstance(scheme, AsksVendor))


def _about(scheme: Scheme, is_private_key: bool) -> str:
    if not is_private_key:
        return "  # newest first; two while you rotate"
    if isinstance(scheme, AsksVendor):
        instead = "Without it" if scheme.asks_alone else "With your credentials in its place"
        return f"{_TO_SIGN}\n# {instead} the vendor's own keys are asked for."
    return f'{_TO_SIGN}\n# public_keys = ["literal:…"]  # what the vendor shows you'


def _secret(scheme: Scheme, keys: Mapping[str, Any]) -> tuple[str, bool]:
    """The first form that the scheme takes; and whether it is a private key."""
    text = _text(keys)
    if _takes(scheme, text):
        return text, False
    return next(key for key in _private_keys() if _takes(scheme, key)), True


def _takes(scheme: Scheme, secret: str) -> bool:
    try:
        scheme.key("made up", secret.encode(), "made up")
    except UserError:
        return False
    return True


def _text(keys: Mapping[str, Any]) -> str:
    if "sample_secret" in keys:
        return str(keys["sample_secret"]).replace("…", _letters(32))
    return str(keys.get("secret_prefix", "")) + _IN[keys.get("secret_encoding", "utf8")]()


def _letters(count: int = 40) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


def _base64() -> str:
    return base64.b64encode(secrets.token_bytes(24)).decode()


_IN: Final[Mapping[str, Callable[[], str]]] = {
    "utf8": _letters,
    "hex": lambda: secrets.token_hex(32),
    "base64": _base64,
    "prefixed": _base64,
}


def _private_keys() -> Iterator[str]:
    """On one line each, as DER in base64, because a line of .env is one line."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # most projects need none of them

    yield _on_a_line(ed25519.Ed25519PrivateKey.generate())
    yield _on_a_line(ec.generate_private_key(ec.SECP256R1()))
    yield _on_a_line(rsa.generate_private_key(65537, 2048))


def _on_a_line(key: "PrivateKeyTypes") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()

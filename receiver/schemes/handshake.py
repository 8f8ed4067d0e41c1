"""Handshakes: what a vendor asks besides events, and what it wants to hear, as data. Pure.

A handshake is known by what stands in the request (`when`, `unless`) or by its token, the text that the vendor wants
back: as it is, or as its HMAC under the source's secret. Wherever the vendor does not sign, strangers may ask too, so
what they can get is bounded here:

* A token is printable ASCII of limited length, so no line break gets into a header; and an answer is plain text or
  JSON, not to be guessed at, so no browser takes it for HTML.
* Whoever can ask for the HMAC of a text has the signature of a delivery that is this text. So an unsigned handshake
  with `{mac}` says which form its tokens have, and what has that form is no signed delivery: `refuse_given_away`.
* Nothing is called that a request names. (Amazon SNS wants just that: `aws_sns.py` has the rule for it.)
"""

import binascii
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Reply, Request
from receiver.schemes.locator import Locator, bytes_of, compile_locator, query_names, text_of

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
_KEYS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("method", "unless", "form", "hash", "encoding"), str),
    **dict.fromkeys(("when", "require", "headers"), Mapping),
    **dict.fromkeys(("signed", "offers_secret"), bool),
    "token": str | Sequence,
    "answer": str | Mapping,
    "status": int,
}
_WORD: Final = re.compile(r"\{([a-z_]*(?::[^{}]*)?)\}")
_OF_THE_SOURCE: Final = ("public_key_id", "verify_token")
_SAFE: Final = re.compile(r"[ -~]{1,2048}")
_LONGEST_UNSIGNED: Final = 4096  # bytes of a body that are parsed although nobody vouches for them
_PLAIN: Final = ((b"content-type", b"text/plain"), (b"x-content-type-options", b"nosniff"))
_JSON: Final = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


@dataclass(frozen=True, slots=True)
class Handshake:
    """One of them; docs/reference.md says what its keys mean."""

    method: str
    signed: bool
    when: tuple[tuple[Locator, str | int], ...]
    unless: Locator | None
    require: tuple[tuple[Locator, str], ...]
    token: Locator | None
    form: re.Pattern[str]
    answer: Any
    headers: tuple[tuple[str, str], ...]
    status: int
    hash: str
    encoding: str
    offers_secret: bool
    values: Mapping[str, str]
    """What words stand for that are the source's own."""
    words: frozenset[str]
    places: Mapping[str, Locator]
    """Where words stand that are the request's."""

    @property
    def gives_away(self) -> bool:
        """Whether strangers get HMACs from it."""
        return not self.signed and "mac" in self.words

    def fits(self, request: Request) -> bool:
        if not self.signed and len(request.body) > _LONGEST_UNSIGNED:
            return False
        if self.unless is not None and self.unless.find(request) is not None:
            return False
        if not self.when and self.token is not None:
            return bool(self.token.find(request))
        return all(_is(place.find(request), wanted) for place, wanted in self.when)

    def reply(self, request: Request, keys: Sequence[Key]) -> Reply:
        def value(word: re.Match[str]) -> str:
            return self._value(word[1], request, keys)

        for place, wanted in self.require:
            # In constant time: one of them is a secret.
            if not hmac.compare_digest(bytes_of(place.find(request)), _WORD.sub(value, wanted).encode()):
                raise Refused("handshake_refused", "it does not show what this source requires: is verify_token right?")
        if self.token is not None:
            self._token(request)  # also where it is not repeated
        headers = [(name.lower().encode(), _WORD.sub(value, text).encode()) for name, text in self.headers]
        kind = _JSON if not isinstance(self.answer, str) else _PLAIN if self.answer else ()
        answer = _mapped(self.answer, lambda text: _WORD.sub(value, text))
        body = answer.encode() if isinstance(answer, str) else to_json(answer)
        return Reply(self.status, body, (*kind, *headers), offers_secret=self.offers_secret)

    def _value(self, word: str, request: Request, keys: Sequence[Key]) -> str:
        if word == "token":
            return self._token(request)
        if word in self.places:
            return _safe(self.places[word], request)
        if word == "mac" and keys:
            digest = hmac.digest(keys[0].secret, self._token(request).encode(), self.hash)
            return (binascii.hexlify(digest) if self.encoding == "hex" else b64encode(digest)).decode()
        if word not in self.values:
            missing = "secret" if word == "mac" else word
            raise Refused("handshake_refused", f"this source has no {missing} to answer with")
        return self.values[word]

    def _token(self, request: Request) -> str:
        token = _safe(self.token, request) if self.token else ""
        if not self.form.fullmatch(token):
            raise Refused("handshake_malformed", "what it wants back has another form than it should have")
        return token


class Handshakes:
    """Those of one source."""

    def __init__(self, handshakes: Sequence[Handshake]) -> None:
        self._handshakes = handshakes
        self._given_away = tuple(one.form for one in handshakes if one.gives_away)
        self.methods = frozenset(one.method for one in handshakes)
        self.used = frozenset(word for one in handshakes for word in one.words if word in _OF_THE_SOURCE)
        """The keys of the configuration that are read for them."""
        secrets = [place for one in handshakes for place, wanted in one.require if "verify_token" in _words_in(wanted)]
        self.credentials = frozenset(name.lower().encode() for place in secrets for name in place.header_names)
        self.query_credentials = frozenset(name for place in secrets for name in query_names(place))
        """The headers, in lower case, and the fields of the query in which the vendor shows a secret."""

    def greet(self, request: Request, keys: Sequence[Key], *, verified: bool) -> Reply | None:
        """The answer, if this is a handshake."""
        for one in self._handshakes:
            if one.method == request.method and one.signed is verified and one.fits(request):
                return one.reply(request, keys)
        return None

    def refuse_given_away(self, content: bytes) -> None:
        """For what was signed: whether everybody can have its signature, by asking for a handshake."""
        for form in self._given_away:
            if form.fullmatch(content.decode("latin-1")):
                raise Refused("signature_mismatch", "anyone can get this signature: it is of a text like a handshake's")


def _is(found: Any, wanted: str | int) -> bool:
    if isinstance(wanted, int):
        return type(found) is int and found == wanted  # True equals 1
    return text_of(found) == wanted


def _safe(place: Locator, request: Request) -> str:
    text = text_of(place.find(request))
    if text is None or not _SAFE.fullmatch(text):
        raise Refused("handshake_malformed", "what it wants back is missing, too long, or not printable ASCII")
    return text


def _mapped(answer: Any, change: Callable[[str], str]) -> Any:
    if isinstance(answer, Mapping):
        return {name: _mapped(value, change) for name, value in answer.items()}
    return change(answer) if isinstance(answer, str) else answer


def _words_in(texts: Any) -> frozenset[str]:
    if isinstance(texts, Mapping):
        texts = list(texts.values())
    if isinstance(texts, list):
        return frozenset().union(*map(_words_in, texts))
    return frozenset(_WORD.findall(texts) if isinstance(texts, str) else ())


# ── compiled once ──


def compile_handshakes(keys: Mapping[str, Any], where: str) -> Handshakes:
    written = keys.get("handshakes", ())
    return Handshakes([_compile(one, keys, f"{where} handshakes[{number}]") for number, one in enumerate(written)])


def _compile(written: Mapping[str, Any], keys: Mapping[str, Any], where: str) -> Handshake:
    for key, value in written.items():
        if not isinstance(value, _KEYS.get(key, ())):
            what = f"{value!r} is not what {key} can be" if key in _KEYS else f"a handshake has no {key!r}"
            raise UserError(what, where, f"write some of {', '.join(sorted(_KEYS))}")
    method = written.get("method", "POST")
    words = _words_in([written.get(key, "") for key in ("answer", "headers", "require")])
    handshake = Handshake(
        method=method,
        signed=written.get("signed", method == "POST"),
        when=_places(written, "when", where),
        unless=compile_locator(written["unless"], f"{where} unless") if "unless" in written else None,
        require=_places(written, "require", where),
        token=compile_locator(written["token"], f"{where} token") if "token" in written else None,
        form=_form(written.get("form", ".*"), where),
        answer=written.get("answer", ""),
        headers=tuple(written.get("headers", {}).items()),
        status=written.get("status", 200),
        hash=written.get("hash", keys.get("hash", "sha256")),
        encoding=written.get("encoding", keys.get("encoding", "hex")),
        offers_secret=written.get("offers_secret", False),
        values=_values(keys),
        words=words,
        places={word: compile_locator(word, where) for word in words if ":" in word},
    )
    if what := _mistake(handshake, "form" in written):
        raise UserError(what, where, "docs/reference.md has an example of each")
    return handshake


def _mistake(one: Handshake, has_form: bool) -> str:
    unknown = one.words - {"token", "mac", *_OF_THE_SOURCE, *one.places}
    rules = (
        (one.method not in METHODS, f"{one.method!r} is none of {', '.join(METHODS)}"),
        (one.signed and one.method != "POST", f"a {one.method} is not signed"),
        (not one.signed and one.method == "POST" and not one.when and not one.token, "any delivery would be this one"),
        (bool(unknown), f"there is no word {{{''.join(sorted(unknown)[:1])}}}"),
        (bool(one.words & {"token", "mac"}) and not one.token, "it does not say where its token is"),
        (one.gives_away and not has_form, "it signs what strangers send: say which form that has"),
        (any(not isinstance(text, str) for _, text in (*one.headers, *one.require)), "headers and require hold texts"),
        (not 200 <= one.status < 300, f"{one.status} does not agree to anything"),
        (one.status == 204 and one.answer != "", "204 has no body"),
        (one.hash not in ("sha1", "sha256", "sha512"), f"{one.hash!r} is no hash"),
        (one.encoding not in ("hex", "base64"), f"{one.encoding!r} is no encoding"),
        (any(not _SAFE.fullmatch(str(text)) for pair in one.headers for text in pair), "a header is printable ASCII"),
    )
    return next((what for is_wrong, what in rules if is_wrong), "")


def _places(written: Mapping[str, Any], key: str, where: str) -> tuple[tuple[Locator, Any], ...]:
    places = written.get(key, {})
    return tuple((compile_locator(place, f"{where} {key}"), wanted) for place, wanted in places.items())


def _form(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserError(f"{text!r} is no regular expression: {error}", f"{where} form") from None


def _values(keys: Mapping[str, Any]) -> Mapping[str, str]:
    """A verify_token that has not been looked up is a reference still, and answers nothing."""
    token = keys.get("verify_token")
    found = {
        "public_key_id": keys.get("public_key_id"),
        "verify_token": token.decode("utf-8", "replace") if type(token) is bytes else None,
    }
    return {name: value for name, value in found.items() if value is not None}

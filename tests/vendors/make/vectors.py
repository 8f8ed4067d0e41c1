"""Writes `tests/vendors/vectors/NAME.json`: requests as a vendor's own library signs them, and forgeries of them.

Run by `make vectors` in an environment of its own, with the vendors' libraries in it. The same libraries make the same
files: what differs next year is a change at the vendor. `tests/vendors/test_vectors.py` compares us with the files.
"""

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import time_machine

from tests.vendors.sources import sent, source_of

NOW = 1_760_000_000
"""Our clock in most vectors: 2025-10-09 08:53:20 UTC."""
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VECTORS = HERE.parent / "vectors"
OTHER_SECRET = "literal:b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlcg=="
"""Somebody else's: fit to be text, base64 and what stands behind `whsec_`."""

Headers = Mapping[str, str]
Verify = Callable[[dict[str, str], bytes], object]
"""A library's own check of headers, their names in small letters, and a body: it raises or answers False."""


class Vectors:
    """One preset's file. `source` holds the keys of `[sources.NAME]`: `secrets = ["literal:hush"]` and the like."""

    def __init__(self, preset: str, made_by: str, **source: Any) -> None:
        self.preset = preset
        self.made_by = made_by
        self.source = source
        self.requests: list[dict[str, Any]] = []

    def add(self, name: str, headers: Headers | Sequence[Sequence[str]], body: bytes | str = b"", **said: Any) -> None:
        """A request, and what has to become of it. A character of a header is one byte (Latin-1): any can be sent.

        * `verdict`: `accepted`, where nothing is said, `answered` (a handshake) or the code of a refusal
        * `ids`, `types`: those of its events, if it is accepted
        * `answer`: a handshake's, `{"status", "body" or "json", "headers"}`, as far as it matters
        * `at`: our clock, `NOW` where nothing is said; `method`, `query`: of the request
        * `source`: the keys that this request's source has otherwise than the file's
        """
        assert said.keys() <= {"verdict", "ids", "types", "answer", "at", "method", "query", "source"}, said.keys()
        verdict = said.get("verdict", "accepted")
        events = {"ids": said.get("ids", []), "types": said.get("types", [])} if verdict == "accepted" else {}
        request = {
            "name": name,
            "method": said.get("method", "POST"),
            "query": said.get("query", ""),
            "headers": [list(pair) for pair in (headers.items() if isinstance(headers, Mapping) else headers)],
            **_body(body if isinstance(body, bytes) else body.encode()),
            "at": said.get("at", NOW),
            **({"source": said["source"]} if said.get("source") else {}),
            "verdict": verdict,
            **events,
            **({"answer": said["answer"]} if said.get("answer") is not None else {}),
        }
        self.requests.append(request)

    def verified_by(self, verify: Verify, *, id: str | None = None, type: str | None = None) -> None:
        """The library takes what was added so far, and what we sign ourselves, and none of it with another body.

        `id` and `type` are for vendors that have them in headers. At each request's own time, for the library too.
        """
        for request in self.requests:
            if request["verdict"] == "accepted":
                headers = {name.lower(): value for name, value in request["headers"]}
                _prove(verify, headers, _bytes(request), request["at"])
        body = _bytes(self.requests[0])
        ours = sent(source_of(self.preset, self.source), body, NOW, id=id, type=type)
        _prove(verify, {name.lower(): value for name, value in ours.headers}, ours.body, NOW)

    def forge(
        self,
        signature: str,
        *,
        original: int = 0,
        tolerance_s: float | None = None,
        other: Mapping[str, Any] | None = None,
        covers_body: bool = True,
        **codes: str,
    ) -> None:
        """Forgeries of an accepted request: each changes one thing, and none needs the secret.

        `signature` is its header. With a tolerance there are also requests that are just in time, and just not.
        `other`: the keys of a source that has another secret. `codes` are the refusals that differ from the usual ones,
        such as `doubled_signature="accepted"`; "skip" leaves a forgery out.
        """
        good = self.requests[original]
        body = _bytes(good)
        value = next(text for name, text in good["headers"] if name.lower() == signature.lower())
        elsewhere = other or {"secrets": [OTHER_SECRET]}

        def forged(name: str, code: str, value: str | None = None, **changes: Any) -> None:
            code = codes.get(name.replace(" ", "_"), code)
            if code == "skip":
                return
            headers = good["headers"] if value is None else _with(good["headers"], signature, value)
            said = {"ids": good["ids"], "types": good["types"]} if code == "accepted" else {}
            kept = {key: good[key] for key in ("method", "query", "at")}
            self.add(name, **{"headers": headers, "body": body, "verdict": code, **kept, **said, **changes})

        if covers_body:
            forged("changed body", "signature_mismatch", body=_changed(body))
            forged("longer body", "signature_mismatch", body=body + b" ")
            forged("empty body", "signature_mismatch", body=b"")
        forged("other secret", "signature_mismatch", source=elsewhere)
        forged("missing signature", "signature_missing", headers=_without(good["headers"], signature))
        forged("empty signature", "signature_missing", "")
        forged("malformed signature", "signature_malformed", "nonsense")
        forged("signature with a byte beyond ASCII", "signature_malformed", value[:-1] + "\xe9")
        forged("signature with bytes that are no UTF-8", "signature_malformed", value[:-2] + "\xff\xfe")
        forged("signature with a byte less", "signature_malformed", value[:-1])
        forged("doubled signature", "signature_malformed", headers=[*good["headers"], [signature, value]])
        forged("header names in capitals", "accepted", headers=[[n.upper(), text] for n, text in good["headers"]])
        forged("header names in small letters", "accepted", headers=[[n.lower(), text] for n, text in good["headers"]])
        if tolerance_s is not None:
            forged("just not stale", "accepted", at=good["at"] + tolerance_s - 1)
            forged("stale", "timestamp_stale", at=good["at"] + tolerance_s + 2)
            forged("just not of the future", "accepted", at=good["at"] - tolerance_s + 1)
            forged("of the future", "timestamp_future", at=good["at"] - tolerance_s - 2)

    def write(self) -> None:
        known = {"preset": self.preset, "made_by": self.made_by, "source": self.source, "requests": self.requests}
        text = json.dumps(known, indent=1, ensure_ascii=False)
        (VECTORS / f"{self.preset}.json").write_text(f"{text}\n", encoding="utf-8")


def fixture(name: str) -> bytes:
    return (ROOT / "fixtures" / f"{name}.json").read_bytes()


def by_bytes(content: bytes) -> str:
    """The id of an event whose vendor gives it none."""
    return f"sha256:{sha256(content).hexdigest()}"


def package(name: str) -> str:
    """A library of the Python package index with its version, for `made_by`."""
    return f"{name} {version(name)} (PyPI)"


def npm_package(name: str) -> str:
    """The same of npm, as `package.json` pins it."""
    pinned = json.loads((HERE / "package.json").read_text())["dependencies"][name]
    return f"{name} {pinned} (npm)"


def node(script: str, question: Any) -> Any:
    """What `script`, an .mjs file beside this one, answers: JSON in, JSON out."""
    done = subprocess.run(
        ["node", str(HERE / script)], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr}")
    return json.loads(done.stdout)


def _prove(verify: Verify, headers: dict[str, str], body: bytes, at: float) -> None:
    with time_machine.travel(at, tick=False):
        assert verify(headers, body) is not False, f"the library refuses {headers}"
        try:
            refused = verify(headers, _changed(body)) is False
        except Exception:  # each library has its own
            refused = True
    assert refused, f"the library does not look at the body: {headers}"


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def _bytes(request: Mapping[str, Any]) -> bytes:
    text: str = request.get("body", "")
    return b64decode(request["body_base64"]) if "body_base64" in request else text.encode()


def _changed(body: bytes) -> bytes:
    """Another body of the same length, and the same JSON but for a digit."""
    at = next((at for at in range(len(body) // 2, len(body)) if chr(body[at]).isdigit()), len(body) // 2)
    return body[:at] + (b"8" if body[at : at + 1] == b"7" else b"7") + body[at + 1 :]


def _with(headers: Iterable[Sequence[str]], name: str, value: str) -> list[list[str]]:
    return [[one, value if one.lower() == name.lower() else text] for one, text in headers]


def _without(headers: Iterable[Sequence[str]], name: str) -> list[list[str]]:
    return [[one, text] for one, text in headers if one.lower() != name.lower()]

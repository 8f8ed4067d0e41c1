"""The shipped fixtures: that each is the bytes its vendor would send, under the name that says so.

Not here: what the schemes make of them (tests of the schemes), and sending them.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from receiver.schemes import Headers, Request
from receiver.schemes.presets import preset_names
from receiver.settings import Settings
from receiver.sources import describe_source

ROOT = Path(__file__).parents[1] / "fixtures"
FIXTURES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.json"))
SHOPIFY_ESCAPES = str.maketrans({"/": r"\/", "<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def indented(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, indent=2)


def compact(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def shopify_escaped(body: Any) -> str:
    return compact(body).translate(SHOPIFY_ESCAPES)


def slack_escaped(body: Any) -> str:
    return json.dumps(body, separators=(",", ":")).replace("/", r"\/")


def spaced_line(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False) + "\n"


def is_its_type(named: str, body: Any) -> bool:
    return bool(named == body["type"])


def ends_in_its_action(named: str, body: Any) -> bool:
    """GitHub names the event in a header only."""
    return bool(named.partition(".")[2] == body.get("action", ""))


def is_a_topic(named: str, body: Any) -> bool:
    """Shopify's topic stands in a header; the body names only its subject."""
    return named.count("/") == 1


def is_the_inner_type(named: str, body: Any) -> bool:
    return is_its_type(named, body.get("event", body))


@dataclass(frozen=True)
class Vendor:
    layout: Callable[[Any], str]
    agrees: Callable[[str, Any], bool]
    id: str | None = None  # the body's key; None where the id travels in a header


VENDORS = {
    "github": Vendor(compact, ends_in_its_action),
    "hmac": Vendor(spaced_line, is_its_type, id="id"),
    "shopify": Vendor(shopify_escaped, is_a_topic),
    "slack": Vendor(slack_escaped, is_the_inner_type, id="event_id"),
    "standardwebhooks": Vendor(compact, is_its_type),
    "stripe": Vendor(indented, is_its_type, id="id"),
}
"""Those with many fixtures; any other preset has one at most."""
OF_MANY = [fixture for fixture in FIXTURES if fixture.parts[0] in VENDORS]
SINGLE = [fixture for fixture in FIXTURES if fixture.parts[0] not in VENDORS]

each_of_many = pytest.mark.parametrize("fixture", OF_MANY, ids=str)
each_single = pytest.mark.parametrize("fixture", SINGLE, ids=str)


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def refuse_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    doubled = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if doubled:
        raise ValueError(f"doubled keys: {doubled}")
    return dict(pairs)


def parse(fixture: Path) -> Any:
    text = (ROOT / fixture).read_bytes().decode()
    return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_doubled_keys)


def vendor_of(fixture: Path) -> Vendor:
    return VENDORS[fixture.parts[0]]


def type_of(fixture: Path) -> str:
    return unquote("/".join(fixture.parts[1:])).removesuffix(".json").partition("__")[0]


def shared(values: list[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]


@each_of_many
def test_a_fixture_is_one_strict_json_object(fixture: Path) -> None:
    assert isinstance(parse(fixture), dict)


@each_single
def test_any_other_presets_fixture_is_read_by_it_and_its_path_says_the_type(fixture: Path) -> None:
    name = fixture.parts[0]
    scheme = describe_source(name, Settings.model_validate({"sources": {name: {"preset": name}}})).scheme
    request = Request("POST", "", Headers([]), (ROOT / fixture).read_bytes(), parse=scheme.parse)
    assert request.payload
    # What of a type travels in a header is unknown here.
    types = [one.type for one in scheme.identify(request)]
    assert any(type_.endswith((type_of(fixture), "unknown")) or type_of(fixture).endswith(type_) for type_ in types)


@each_of_many
def test_its_path_says_the_type_that_its_body_says(fixture: Path) -> None:
    assert vendor_of(fixture).agrees(type_of(fixture), parse(fixture))


@each_of_many
def test_its_bytes_are_laid_out_as_its_vendor_does(fixture: Path) -> None:
    assert (ROOT / fixture).read_bytes() == vendor_of(fixture).layout(parse(fixture)).encode()


@pytest.mark.parametrize("fixture", FIXTURES, ids=str)
def test_every_file_system_takes_its_name(fixture: Path) -> None:
    assert not set('\\:*?"<>|') & set(fixture.as_posix())


@each_of_many
def test_it_holds_no_carriage_return(fixture: Path) -> None:
    # A checkout that rewrites line ends would change what is signed.
    assert b"\r" not in (ROOT / fixture).read_bytes()


def test_no_two_fixtures_share_an_id() -> None:
    keyed = [(fixture, key) for fixture in OF_MANY if (key := vendor_of(fixture).id)]
    bodies = [(fixture.parts[0], parse(fixture), key) for fixture, key in keyed]
    # Slack's handshake is no event and has no id.
    ids = [(preset, body[key]) for preset, body, key in bodies if body["type"] != "url_verification"]
    assert shared(ids) == []


def test_no_two_fixtures_are_the_same_bytes() -> None:
    assert shared([(ROOT / fixture).read_bytes() for fixture in FIXTURES]) == []


def test_every_preset_has_many_fixtures_or_one() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"hmac"} == {*preset_names()}
    assert folders == {*VENDORS, *(fixture.parts[0] for fixture in SINGLE)}
    assert shared([fixture.parts[0] for fixture in SINGLE]) == []


@pytest.mark.parametrize("preset", VENDORS)
def test_a_preset_has_at_least_five_fixtures(preset: str) -> None:
    assert sum(fixture.parts[0] == preset for fixture in FIXTURES) >= 5


@pytest.mark.parametrize("preset", VENDORS)
def test_a_preset_has_text_beyond_ascii(preset: str) -> None:
    # Parsed first, so that Slack's escapes count as what they stand for.
    assert not all(compact(parse(fixture)).isascii() for fixture in FIXTURES if fixture.parts[0] == preset)

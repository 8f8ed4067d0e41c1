"""The page about vendors says what the presets say."""

from receiver.schemes.presets import preset, preset_names
from tests.vendors.page import PAGE, page


def test_the_page_is_made_of_the_presets() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.vendors.page writes it anew"


def test_every_place_of_an_id_stands_there_whole() -> None:
    told = page()
    for name in preset_names():
        ids = preset(name, "here").get("id", [])
        [row] = [line for line in told.splitlines() if line.startswith(f"| [{name}](")]
        assert all(f"`{place}`" in row for place in ([ids] if isinstance(ids, str) else ids)), name

"""The page about vendors says what the presets say."""

from tests.vendors.page import PAGE, page


def test_the_page_is_made_of_the_presets() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.vendors.page writes it anew"

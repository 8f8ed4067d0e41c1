"""`postern`, and `python -m receiver`. What takes a while to import is imported only once a SIGHUP cannot end it."""

from typing import NoReturn

from receiver import hangup


def main() -> NoReturn:
    hangup.hold()
    from receiver.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()

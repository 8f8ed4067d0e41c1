"""The command line: `postern`, and `python -m receiver`. One file for each group of commands.

main.py says which commands there are and prints what goes wrong; common.py is what they share: the settings, the
store, rows as JSON or as tables, questions. A command's own file is imported only when it is typed.
"""

from receiver.cli.main import main

__all__ = ["main"]

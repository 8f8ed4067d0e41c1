"""`python -m receiver` is `postern`."""

from receiver.cli import main

main()

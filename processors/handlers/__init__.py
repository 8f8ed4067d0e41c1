"""Examples to copy, one file per vendor. None of them runs unless `[handlers] modules` names it.

Each begins with what it shows and with the configuration it needs, and is tested in tests/processors/handlers/.
"""

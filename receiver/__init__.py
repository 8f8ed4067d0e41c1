"""The receiving side of Postern: checks what vendors send and stores it. Nothing here acts on an event."""

__version__ = "0.1.0"

"""The only import of httpx, so that a change of client is one line. How calls are made is the processors' business."""

import httpx

__all__ = ["httpx"]

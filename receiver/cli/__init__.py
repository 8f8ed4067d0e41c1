"""tmp"""


def main() -> None:
    import os
    import sys
    from pathlib import Path

    from receiver import log
    from receiver.serve import serve
    from receiver.settings import load

    port = sys.argv[sys.argv.index("--port") + 1] if "--port" in sys.argv else "8000"
    log.set_up()
    serve(load(None, {**os.environ, "POSTERN_SERVER__PORT": port}))

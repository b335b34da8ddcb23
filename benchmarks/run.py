"""Prints speed as ratios against named peers: ``make bench``, or ``make bench ONLY=decode``."""

import importlib
import sys

BENCHES = ("control", "decode", "journal", "pipeline", "stalled", "webhook", "websocket")


def main(wanted: list[str]) -> int:
    """Run the benches named, or all of them, one after the other."""
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        print(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in wanted or BENCHES:
        importlib.import_module(name).main()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

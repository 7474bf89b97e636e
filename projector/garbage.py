"""How often the cyclic collector looks."""

import gc


def collect_seldom() -> None:
    """Let the cyclic collector look seldom: an event makes many objects, and no cycles.

    To be called once all modules are imported, which are never looked at again.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)

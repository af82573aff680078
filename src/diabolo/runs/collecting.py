"""When Python searches for cycles of objects that nothing else holds: seldom at the start, then as ever."""

import atexit
import gc
import sys

WHILE_IMPORTING = 50_000  # new objects to a search for cycles: imports make half a million, and next to no cycles
COLLECTING = gc.get_threshold()  # Python's own


def collect_seldom() -> None:
    """Has Python search for cycles seldom while a command imports what it needs, and not at all at its end, where a
    search would only free what the end of the process frees."""
    gc.set_threshold(WHILE_IMPORTING)
    atexit.register(_end_without_search)


def collect_as_usual() -> None:
    """After `collect_seldom`: has Python search for cycles as often as ever, and no more in what the start has made.
    Modules, classes and functions stay, and to look through them all takes longer than many a step."""
    if gc.get_threshold()[0] == WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(*COLLECTING)


def _end_without_search() -> None:
    if "triton" in sys.modules:  # the compiler's Triton takes what lives on for leaks, and says so on the terminal
        gc.unfreeze()
    else:
        gc.freeze()

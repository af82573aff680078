"""Public names are rooms: `diabolo.network.ConvEncoder`, whichever file of the room defines it.

A room's `__init__` takes its `__getattr__` and `__dir__` from here (PEP 562). Importing a room imports none of its
files; the file that defines a name is imported when the name is first asked for. No list is kept: the public names of a
room are the classes and functions that its files define, so that a new class needs no other file to be touched.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

DEFINITION = re.compile(r"^(?:class|def) ([A-Za-z]\w*)", re.MULTILINE)


@cache
def public_names(room: str) -> dict[str, str]:
    """Name -> module that defines it, for a room such as "diabolo.network". Names that two files define, or that a file
    itself bears, are left out: they are reached through their file."""
    (folder,) = map(Path, import_module(room).__path__)
    files = {
        f"{room}.{'.'.join(path.relative_to(folder).with_suffix('').parts)}": path for path in folder.rglob("*.py")
    }
    defining: dict[str, list[str]] = defaultdict(list)
    for module, path in sorted(files.items()):
        if not module.endswith("__init__"):
            for name in set(DEFINITION.findall(path.read_text(encoding="utf-8"))):
                defining[name].append(module)
    taken = {part for module in files for part in module.split(".")}
    return {name: modules[0] for name, modules in defining.items() if len(modules) == 1 and name not in taken}


def module_of(target: str) -> str:
    """The module that has to be imported for a `_target_`: "diabolo.network.ConvEncoder" ->
    "diabolo.network.families.conv"; for what is no public name of a room, all but the last part."""
    room, _, name = target.rpartition(".")
    is_room = room.startswith("diabolo.") and (Path(__file__).parent / room.partition(".")[2] / "__init__.py").is_file()
    return public_names(room).get(name, room) if is_room else room


def lazy(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for the `__init__` of a room."""

    def find(name: str) -> Any:
        if name.startswith("_") or name not in public_names(room):
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(public_names(room)[name]), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[room]), *public_names(room)})

    return find, names


def called(room: str, module: str) -> None:
    """Has a room be called as the function of its own name that a module above it defines: so `diabolo.runs(FOLDER)` is
    a function, and `diabolo.runs.folder` a file of the room. For the `__init__` of the room."""

    class CalledRoom(ModuleType):
        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return getattr(import_module(module), room.rpartition(".")[2])(*arguments, **named)

        def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:  # as other modules are pickled
            return import_module, (room,)

    sys.modules[room].__class__ = CalledRoom

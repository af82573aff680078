"""Packages that a run would import without using them, imported when they are used: half of what starting costs.

TorchMetrics, which Lightning imports, takes what few of its metrics need from torchvision, matplotlib and scipy.signal
as soon as it is imported; Lightning and torch's optimisers take from the compiler, torch._dynamo, what has no effect as
long as nothing is compiled; scikit-learn looks whether there is a pandas. `defer` has those importers get stand-ins
while they are imported themselves. Whoever else imports such a package gets the package, also where an importer of the
table asks later, and a stand-in turns into what it stands for as soon as it is called, looked into or subclassed.
No file of another package is changed, and of the objects only this: `scipy.signal.hamming`, which TorchMetrics adds for
a package of audio metrics, is not added. A process that never calls `defer` imports as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Union

DEFERRED = {  # while this module is imported, whose first name is the importer's: what its package is not given yet
    "torchmetrics": ("matplotlib", "scipy.signal", "torchvision"),
    "lightning": ("torch._dynamo", "torch.utils.flop_counter"),
    "sklearn.utils.fixes": ("pandas",),
    "tensorboard.compat.tensorflow_stub.io.gfile": ("boto3", "botocore"),
}
PACKAGES = {package for packages in DEFERRED.values() for package in packages}
FIRST_NAMES = {package.partition(".")[0] for package in PACKAGES}
WITHOUT_COMPILER = "torch._dynamo"  # its stand-in stays until it is used: every optimiser imports it


def defer() -> None:
    """Defers the packages of the table from now on; what has been imported already stays."""
    if not any(isinstance(finder, Deferral) for finder in sys.meta_path):
        sys.meta_path.insert(0, Deferral())


class Deferral(MetaPathFinder):
    """Finds a stand-in where an importer of the table asks for what is deferred, and nothing otherwise.

    Attributes:
        importing: modules of the table that are being imported now.
        used: deferred packages that have been needed; they are deferred no more.
    """

    def __init__(self) -> None:
        self.importing: list[str] = []
        self.used: set[str] = set()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in DEFERRED:
            spec = self._found_by_others(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = Watched(spec.loader, self)
            return spec
        package = self._package(name)
        if package is None or package in self.used:
            return None
        if self.asked_by_importer(package):
            return self._stand_in(self._found_by_others(name, path, target), package)
        if name != package and isinstance(sys.modules.get(package), StandIn):
            self.real(package)  # imports many of its modules, the one asked for perhaps among them
            return ModuleSpec(name, Already(sys.modules[name])) if name in sys.modules else None
        if name == WITHOUT_COMPILER and _torch_asks():
            return self._stand_in(self._found_by_others(name, path, target), package)
        return None

    def asked_by_importer(self, package: str) -> bool:
        """Whether the code that runs belongs to a module of the table that is being imported, and asks too early."""
        asking = _asking().partition(".")[0]
        return any(asking == one.partition(".")[0] and package in DEFERRED[one] for one in self.importing)

    def real(self, name: str) -> ModuleType:
        """The module itself, imported now if need be."""
        package = self._package(name)
        if package is not None and package not in self.used:
            self.used.add(package)
            self.withdraw(package)
        return import_module(name)

    def is_imported(self, name: str) -> bool:
        """Whether the module itself has been imported, by whomever."""
        return name in sys.modules and not isinstance(sys.modules[name], StandIn)

    def withdraw(self, package: str) -> None:
        """Takes the stand-ins of a package out of where an import looks."""
        for name, module in list(sys.modules.items()):
            if isinstance(module, StandIn) and self._package(name) == package:
                del sys.modules[name]
                parent, _, last = name.rpartition(".")
                if parent in sys.modules and vars(sys.modules[parent]).get(last) is module:
                    delattr(sys.modules[parent], last)

    def _package(self, name: str) -> str | None:
        if name.partition(".")[0] not in FIRST_NAMES:
            return None
        return next((package for package in PACKAGES if name == package or name.startswith(f"{package}.")), None)

    def _stand_in(self, spec: ModuleSpec | None, package: str) -> ModuleSpec | None:
        """Of a stand-in for the module that has been found, if it has."""
        return spec and ModuleSpec(spec.name, StandsIn(self, package, spec.submodule_search_locations or []))

    def _found_by_others(self, name: str, path: Any, target: Any) -> ModuleSpec | None:
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        return next((spec for spec in found if spec is not None), None)


class Watched(Loader):
    """Loads a module of the table as its own loader does, and says when that begins and ends."""

    def __init__(self, loader: Any, deferral: Deferral) -> None:
        self.loader = loader
        self.deferral = deferral

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.deferral.importing.append(name)
        try:
            self.loader.exec_module(module)
        finally:
            self.deferral.importing.remove(name)
            for package in DEFERRED[name]:
                if package != WITHOUT_COMPILER:
                    self.deferral.withdraw(package)


class StandsIn(Loader):
    """Makes stand-ins for the modules of a deferred package."""

    def __init__(self, deferral: Deferral, package: str, folders: list[str]) -> None:
        self.deferral = deferral
        self.package = package
        self.folders = folders

    def create_module(self, spec: ModuleSpec) -> StandIn:
        return StandIn(spec.name, self.deferral, self.package, self.folders)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: that is the point."""


class Already(Loader):
    """Loads what has been imported meanwhile."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class StandIn(ModuleType):
    """A module that is not imported yet. Its importer gets a `Later` of each name; anyone else the name itself."""

    def __init__(self, name: str, deferral: Deferral, package: str, folders: list[str]) -> None:
        super().__init__(name)
        self.__path__ = folders
        self.__dict__.update(_deferral=deferral, _package=package)

    def __getattr__(self, name: str) -> Any:
        deferral: Deferral = self.__dict__["_deferral"]
        module = self.__name__
        if module == WITHOUT_COMPILER and name in UNCOMPILED and not deferral.is_imported(module):
            return UNCOMPILED[name](deferral)
        if not name.startswith("__") and deferral.asked_by_importer(self.__dict__["_package"]):
            return Later(deferral, self.__dict__["_package"], lambda: getattr(deferral.real(module), name))
        return getattr(deferral.real(module), name)


class Later:
    """The value of an expression, such as `pyplot.style.context(...)`, that is found out when it is used."""

    def __init__(self, deferral: Deferral, package: str, evaluate: Callable[[], Any]) -> None:
        self._deferral = deferral
        self._package = package
        self._value = cache(evaluate)

    def _early(self) -> bool:
        return self._deferral.asked_by_importer(self._package)

    def _later(self, use: Callable[[Any], Any]) -> Any:
        """What `use` makes of the value: found out later still where the importer asks too early."""
        if self._early():
            return Later(self._deferral, self._package, lambda: use(self._value()))
        return use(self._value())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and self._early():  # annotations are asked for such names
            raise AttributeError(name)
        return self._later(lambda value: getattr(value, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._later(lambda value: value(*args, **kwargs))

    def __getitem__(self, key: Any) -> Any:
        return self._later(lambda value: value[key])

    def __iter__(self) -> Any:
        return iter(self._value())

    def __bool__(self) -> bool:
        return bool(self._value())

    def __instancecheck__(self, instance: object) -> bool:
        return self._deferral.is_imported(self._package) and isinstance(instance, self._value())

    def __subclasscheck__(self, subclass: type) -> bool:
        return self._deferral.is_imported(self._package) and issubclass(subclass, self._value())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._value(),)

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007  as of classes in annotations

    def __ror__(self, other: Any) -> Any:
        return Union[other, self]  # noqa: UP007

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._value(),)


def _disable(deferral: Deferral) -> Callable[..., Any]:
    """torch._dynamo.disable: a function that is never compiled. As long as nothing is compiled, the function."""

    def disable(fn: Any = None, *args: Any, **options: Any) -> Any:
        if not isinstance(fn, FunctionType):
            return deferral.real(WITHOUT_COMPILER).disable(fn, *args, **options)
        disabled = cache(lambda: deferral.real(WITHOUT_COMPILER).disable(fn, *args, **options))

        @wraps(fn)
        def call(*its_args: Any, **its_options: Any) -> Any:
            return (disabled() if deferral.is_imported(WITHOUT_COMPILER) else fn)(*its_args, **its_options)

        return call

    return disable


def _graph_break(_: Deferral) -> Callable[..., None]:
    """torch._dynamo.graph_break: outside of what is compiled it does nothing."""
    return lambda *args, **options: None


UNCOMPILED: Mapping[str, Callable[[Deferral], Callable[..., Any]]] = {
    "disable": _disable,
    "graph_break": _graph_break,
}

HAND_ON = (__name__, "importlib", "typing", "typing_extensions")


def _asking() -> str:
    """The name of the module whose code asks: the innermost that is neither the import system's, nor that of
    annotations, nor this file's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__"))
        if name not in HAND_ON and not name.startswith("importlib."):
            return name
        frame = frame.f_back
    return ""


def _torch_asks() -> bool:
    return _asking().startswith(("torch._compile", "torch.optim", "torch.compiler"))


def _itself(value: Any) -> Any:
    return value

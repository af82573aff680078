"""Composing the config outside `@hydra.main`, naming runs, and saying what is wrong with an override."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from diabolo.errors import ConfigError, UserError, did_you_mean
from diabolo.runs.config_check import check_config
from diabolo.runs.identity import Kind, kind

ROOT = "train"
MODULE = "diabolo.conf"
CONF = files(MODULE)
FOLDERS = ("data.root", "encoder.init_from")
PATHS = (*FOLDERS, "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
AS_IT_IS = re.compile(r"|null|\?\?\?|'.*'|\".*\"|(choice|glob|shuffle|sort)\(.*\)", re.DOTALL)
"""Values of a key that names a folder which are no bare path: empty, null, missing, quoted, or several for a sweep."""
LONGEST_NAME = 50 if sys.platform == "win32" else 120  # a path of Windows has 260 characters, and a sweep two names


def run_name(overrides: Sequence[str]) -> str:
    """A readable folder name made of what was overridden, e.g. "bottleneck.size=25_model=fc"; "default" for nothing.

    Overrides that change where and how a run is computed, not what it is, are left out.
    """
    named = sorted(o for o in overrides if kind(o.lstrip("+~").partition("=")[0]) not in (Kind.COMPUTING, Kind.WHERE))
    plain = re.sub(r"[\[\]{}'\"\s]", "", "_".join(named))
    name = re.sub(r"[^\w.=+-]+", "-", plain).strip("-") or "default"
    if name.endswith("."):  # which Windows leaves out
        name += "-"
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha1(name.encode()).hexdigest()[:8]}"
    return name


def sweep_name(overrides: Sequence[str]) -> str:
    """A readable folder name for a sweep: what is fixed with its value, what is swept without, so that another value
    belongs to the same sweep, e.g. "bottleneck.size_model=fc_seed"."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return run_name([o.get_key_element() if o.is_sweep_override() else str(o.input_line) for o in parsed])


def quoted(value: str) -> str:
    """`value` as Hydra's grammar takes any string, KEY='value': a backslash is one but before a quote."""
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", r"\'"), value) + "'"


def quoted_paths(overrides: Sequence[str]) -> list[str]:
    """The overrides, with quotes round the value of each key that names a folder, so that a path is written as in any
    other command: with spaces, umlauts, brackets, commas, = or #. In a sweep (-m) a comma parts several folders."""
    swept = bool({"-m", "--multirun"} & set(overrides))
    found = []
    for pair in overrides:
        key, equals, value = pair.partition("=")
        if equals and key.lstrip("+") in PATHS and not AS_IT_IS.fullmatch(value):
            values = value.split(",") if swept else [value]
            found.append(f"{key}={','.join(map(quoted, values))}")
        else:
            found.append(pair)
    return found


def register_resolvers() -> None:
    """Makes `${run_name:...}` and `${sweep_name:...}` known to OmegaConf."""
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)


def compose_config(overrides: Sequence[str] = (), config_dir: str | None = None, name: str = ROOT) -> DictConfig:
    """The config that `diabolo train` would run with these overrides, resolved.

    Args:
        config_dir: a folder searched beside diabolo's own configs, as Hydra's `--config-dir`.

    Raises:
        HydraException, OmegaConfBaseException: the overrides do not compose; see `explain`.
        UserError: a key that nothing reads, or values that cannot be; see `check_config`.
    """
    register_resolvers()
    searched = [f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"] if config_dir else []
    GlobalHydra.instance().clear()
    with initialize_config_module(MODULE, version_base="1.3"):
        config = compose(name, [*searched, *quoted_paths(overrides)], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    refuse_unread(config)
    plain = resolved(config)
    check_config(plain)
    return plain


def resolved(config: DictConfig) -> DictConfig:
    """A copy without interpolations, with an absolute `data.root` and `encoder.init_from`, and without what is not of
    the run itself (Hydra's own node and `rerun`)."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key not in ("hydra", "rerun")])
    plain = OmegaConf.create(OmegaConf.to_container(own, resolve=True, throw_on_missing=True))
    for key in FOLDERS:  # a run folder is read from anywhere
        if isinstance(place := OmegaConf.select(plain, key), str):
            OmegaConf.update(plain, key, os.path.abspath(os.path.expanduser(place)))
    return plain  # type: ignore[return-value]


def refuse_unread(config: DictConfig) -> None:
    """Refuses keys that nothing reads, which a run would carry along as if they meant something.

    Read are the groups of diabolo's own, the keys of `model` that it has, callbacks with a class, and whatever another
    key refers to (`${mine.size}`), so that a group of one's own is read by the part of one's own that it is for.

    Args:
        config: not yet resolved.

    Raises:
        UserError: the first such key.
    """
    own = own_keys()
    referred = set(_references(OmegaConf.to_container(config, resolve=False)))
    for key in [*map(str, config), *(f"model.{key}" for key in config.get("model") or ())]:
        if key not in own and not _is_referred(key, referred):
            raise UserError(f"nothing reads the key `{key}`{did_you_mean(key, own)}: leave it out.")
    for name, node in (config.get("callbacks") or {}).items():
        is_callback = isinstance(node, DictConfig) and ("_target_" in node or f"callbacks.{name}" in own)
        if node is not None and not is_callback:  # an experiment may set something of one that is left out
            raise ConfigError(f"callbacks.{name}", node, "must be a callback, with a class as its _target_, or null")


@cache
def own_keys() -> frozenset[str]:
    """The keys of diabolo's own at the root and below `model`, and its callbacks, as "callbacks.NAME"."""
    root = yaml.safe_load((CONF / f"{ROOT}.yaml").read_text(encoding="utf-8"))
    groups = {group.rpartition("/")[2] for entry in root["defaults"] if isinstance(entry, dict) for group in entry}
    callbacks = {
        f"callbacks.{name}"
        for path in CONF.joinpath("callbacks").iterdir()
        if path.name.endswith(".yaml")
        for name in yaml.safe_load(path.read_text(encoding="utf-8")) or ()
    }
    return frozenset(
        groups | set(root) - {"defaults"} | {f"model.{key}" for key in root["model"]} | callbacks | {"hydra"}
    )


def _references(node: Any) -> Iterator[str]:
    """The dotted keys that interpolations in a plain config refer to."""
    if isinstance(node, str):
        yield from re.findall(r"\$\{\.*([\w.]+)[}\[]", node)
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _references(inner)


def _is_referred(key: str, references: Iterable[str]) -> bool:
    return any(f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.") for other in references)


def chosen() -> dict[str, str]:
    """What the job that Hydra runs has chosen of each of our groups, e.g. {"loss": "mae", "model": "fc", ...}."""
    choices = HydraConfig.get().runtime.choices
    return {str(group): name for group, name in choices.items() if name and not {"/", "@"} & set(str(group))}


def override(config: DictConfig, overrides: Iterable[str]) -> DictConfig:
    """A resolved config with further `key=value` pairs.

    Raises:
        UserError: a pair without `=`, or a key that the config does not have.
    """
    changed = OmegaConf.create(OmegaConf.to_container(config))
    for pair in overrides:
        key, equals, _ = pair.partition("=")
        if not equals or not known(config, key):
            raise UserError(
                f"{pair!r} is not a key of this run's config with a value{did_you_mean(key, keys_of(config))}."
            )
        changed = OmegaConf.merge(changed, OmegaConf.from_dotlist([pair]))
    return changed  # type: ignore[return-value]


def known(config: DictConfig, key: str) -> bool:
    """Whether the config has a value, None included, at the dotted `key`."""
    return key in keys_of(config)


EXTRAS = {"submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}  # launchers that come with an extra
NO_GROUP_NAME = (  # how Hydra's errors begin where a group is given null or a number, or a list within a list
    "Config group override",
    'can only concatenate str (not "list") to str',
)


def concerns_overrides(failure: Exception) -> bool:
    """Whether `failure` is one of composing the config, which `explain` can put into words."""
    return isinstance(failure, HydraException | OmegaConfBaseException) or str(failure).startswith(NO_GROUP_NAME)


def explain(failure: Exception, overrides: Sequence[str]) -> str:
    """One sentence for what Hydra or OmegaConf say about overrides that do not compose, with the nearest right word."""
    missing = failure.missing_cfg_file or "" if isinstance(failure, MissingConfigException) else ""
    if missing.startswith("hydra/launcher/") and (extra := EXTRAS.get(missing.rpartition("/")[2])):
        return f"this launcher comes with an extra that is not installed: uv sync --extra {extra}."
    if isinstance(failure, MissingConfigException) and failure.missing_cfg_file and failure.options is not None:
        group, _, name = failure.missing_cfg_file.rpartition("/")
        if not group:
            return f"there is no config {name!r}."
        near, there = did_you_mean(name, failure.options), ", ".join(failure.options)
        return f"{group}={name} does not exist{near}; there are {there}."
    message = " ".join(str(failure).split())
    if message.startswith(NO_GROUP_NAME):
        return "a config group takes a name, as in model=fc, not null or a number; see diabolo train --help."
    if isinstance(failure, MissingMandatoryValue):
        return f"`{failure.full_key}` has no value: give it one by {failure.full_key}=VALUE."
    if isinstance(failure, OverrideParseException):
        return f"{failure.override!r} is not an override: write KEY=VALUE, with quotes around special characters."
    if match := re.search(r"Could not override '([^']+)'", message):
        key = match.group(1)
        return f"there is no config key {key!r}{did_you_mean(key, _all_keys())}; see diabolo train --cfg job."
    if match := re.search(r"Could not find match for '([^']+)'|No match in the defaults list", message):
        return message.split(". ")[0].rstrip(".") + "."
    first = re.split(r"(?<=[.!]) |\s+full_key:|\s+See https?:", message)[0].rstrip(".")
    return f"{first}."


def keys_of(config: Any, prefix: str = "") -> list[str]:
    """All dotted keys of a config, inner nodes included."""
    keys: list[str] = []
    if isinstance(config, DictConfig):
        with open_dict(config):
            for key in map(str, config):
                keys.append(f"{prefix}{key}")
                if not OmegaConf.is_interpolation(config, key) and not OmegaConf.is_missing(config, key):
                    keys += keys_of(config[key], f"{prefix}{key}.")
    return keys


def _all_keys() -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_module(MODULE, version_base="1.3"):
        return keys_of(compose(ROOT))

"""The conf folder: base.yaml, what a tenant changes in it, the environment, and where the definitions lie.

Every fault of every file comes at once, with file and line. Precedence: command line, then environment
(``SEGLAKE__SECTION__KEY``), then ``tenants/TENANT/base.yaml``, then ``base.yaml``, then the defaults. Mappings are
joined key by key; any other value replaces the one below it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from segment_lib.catalogue import Catalogue
from segment_lib.errors import ConfError, Issue, UsageError, nearest
from segment_lib.settings import TENANT_ID, CatalogueSection, Settings
from segment_lib.strict_yaml import Document, parse

BASE = "base.yaml"
ENVIRONMENT = "SEGLAKE__"
_ENVIRONMENT = "environment"
_PLAIN = {
    "model_type": "must be a mapping of keys to values", "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list", "string_type": "must be text; quote it",
}
_URI = re.compile(r"^[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_S3 = re.compile(r"^s3[an]?://")


@dataclass(frozen=True)
class Conf:
    """A conf folder, read: its name as it was asked for, and its YAML files (None is content that is not UTF-8)."""

    name: str
    texts: Mapping[str, str | None]

    def settings(
        self,
        tenant: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """What the files, the environment and `overrides` (the command line) say; ConfError holds every fault."""
        merged, layers = self._merged(tenant, overrides or {}, environ or {})
        try:
            return Settings.model_validate(_resolve(_spell_options(merged), self.name))
        except ValidationError as error:
            raise ConfError(_issues(error, merged, layers)) from None

    def catalogue(self, tenant: str | None = None, environ: Mapping[str, str] | None = None) -> Catalogue | None:
        """The names that definitions may use, also when other settings are faulty; None if they cannot be read.

        A name whose own entry is faulty is left out, and so are purchase statuses that are not order statuses.
        """
        try:
            merged, _ = self._merged(tenant, {}, environ or {})
        except (ConfError, UsageError):
            return None
        raw = merged.get("catalogue", {})
        for _ in range(3):
            try:
                return Settings(catalogue=CatalogueSection.model_validate(raw)).names()
            except ValidationError as error:
                for fault in reversed(error.errors(include_url=False)):
                    path = _path(fault["loc"], raw)
                    if path:
                        raw = _without(raw, path)
                    elif isinstance(raw, dict):
                        raw = raw | {"purchase_statuses": []}
        return None

    def definitions(self, tenant: str) -> dict[str, str | None]:
        """Definition files by their full name; a tenant's own file stands for the shared one of that name."""
        chosen: dict[str, str] = {}
        for folder in ("segments", f"tenants/{tenant}/segments"):
            for path in sorted(self.texts):
                if posixpath.dirname(path) == folder:
                    chosen[posixpath.basename(path)] = path
        return {self._full(path): self.texts[path] for path in chosen.values()}

    def tenants(self) -> set[str]:
        """The tenants that have a folder of their own."""
        return {path.split("/")[1] for path in self.texts if path.startswith("tenants/") and path.count("/") > 1}

    def _full(self, path: str) -> str:
        return f"{self.name.rstrip('/')}/{path}"

    def _merged(
        self, tenant: str | None, overrides: Mapping[str, Any], environ: Mapping[str, str]
    ) -> tuple[dict[str, Any], list[Document]]:
        """The settings as plain data, and the layers that they come from, lowest first."""
        issues: list[Issue] = []
        if BASE not in self.texts:
            raise ConfError([Issue(self._full(BASE), 1, "", "the file is missing", "seglake init DIR shows one")])
        base = self._read(BASE, issues)
        environment = _environment(environ, issues)
        asked = tenant or environment.value.get("tenant") or base.value.get("tenant", "shop")
        if not isinstance(asked, str) or not TENANT_ID.fullmatch(asked):
            raise UsageError(f"{asked!r} is not a tenant id ({TENANT_ID.pattern})")
        known = self.tenants() | ({base.value["tenant"]} if "tenant" in base.value else set())
        if known and asked not in known:
            raise UsageError(f"conf knows no tenant {asked!r}; {nearest(asked, known)}")
        own = f"tenants/{asked}/{BASE}"
        layers = [base, *([self._read(own, issues)] if own in self.texts else []), environment]
        if issues:
            raise ConfError(issues)
        layers.append(Document("command line", dict(overrides), {}))
        merged: dict[str, Any] = {}
        for layer in layers:
            merged = _join(merged, layer.value)
        return merged | {"tenant": asked}, layers

    def _read(self, path: str, issues: list[Issue]) -> Document:
        """A file as a mapping; its faults are added to `issues`."""
        text, file = self.texts[path], self._full(path)
        empty = Document(file, {}, {})
        if text is None:
            issues.append(Issue(file, 1, "", "not UTF-8 text", "save it as UTF-8"))
            return empty
        try:
            document = parse(text, file)
        except ConfError as error:
            issues.extend(error.issues)
            return empty
        if not isinstance(document.value, dict | None):
            issues.append(document.issue((), "must be a mapping of keys to values"))
            return empty
        return document if document.value else empty


def read_conf(conf: str) -> Conf:
    """The conf at `conf`: a folder, or an ``s3://`` prefix."""
    if _S3.match(conf):
        from segment_lib.objects import open_objects

        store = open_objects(conf)
        found = {key: store.read(key) for key in store.list() if key.endswith((".yaml", ".yml"))}
        contents = {key: content[0] for key, content in found.items() if content is not None}
    elif Path(conf).is_dir():
        files = [path for path in Path(conf).rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file()]
        contents = {path.relative_to(conf).as_posix(): path.read_bytes() for path in files}
    else:
        raise UsageError(f"there is no conf folder {conf!r}; name one with --conf, or make a project: seglake init DIR")
    return Conf(conf, {path: _decoded(content) for path, content in sorted(contents.items())})


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def load_settings(
    conf: str,
    tenant: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a conf folder alone."""
    return read_conf(conf).settings(tenant, overrides, environ)


def _without(raw: Any, path: tuple[str | int, ...]) -> Any:
    """`raw` without what lies at `path`.

    >>> _without({"a": {"b": 1, "c": 2}}, ("a", "b"))
    {'a': {'c': 2}}
    """
    if isinstance(raw, list):
        return [
            part if i != path[0] else _without(part, path[1:])
            for i, part in enumerate(raw) if i != path[0] or path[1:]
        ]
    return {
        key: part if key != path[0] else _without(part, path[1:])
        for key, part in raw.items() if key != path[0] or path[1:]
    }


def _environment(environ: Mapping[str, str], issues: list[Issue]) -> Document:
    """Settings from variables: SEGLAKE__GATES__MAX_TURNOVER=0.5 is gates.max_turnover."""
    value: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT):
            continue
        try:
            setting = parse(text, f"environment {name}").value
        except ConfError as error:
            issues.extend(error.issues)
            continue
        for key in reversed(name.removeprefix(ENVIRONMENT).lower().split("__")):
            setting = {key: setting}
        value = _join(value, setting)
    return Document(_ENVIRONMENT, value, {})


def _join(below: Any, above: Any) -> Any:
    """Mappings joined key by key; any other value replaces the one below it.

    >>> _join({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": [2]})
    {'a': {'x': 1, 'y': 3}, 'b': [2]}
    """
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _join(below[key], value) if key in below else value for key, value in above.items()}


def _spell_options(merged: dict[str, Any]) -> dict[str, Any]:
    """Options of Spark and of file readers are text; numbers and booleans may be written plainly."""

    def spelled(options: Any) -> Any:
        return {key: _text(value) for key, value in options.items()} if isinstance(options, dict) else options

    result = dict(merged)
    if "spark" in result:
        result["spark"] = spelled(result["spark"])
    if isinstance(result.get("inputs"), dict):
        result["inputs"] = {
            table: section | {"options": spelled(section["options"])}
            if isinstance(section, dict) and "options" in section else section
            for table, section in result["inputs"].items()
        }
    return result


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | Decimal) else value


def _resolve(merged: dict[str, Any], conf: str) -> dict[str, Any]:
    """Relative paths are relative to the project: the folder that the conf folder lies in."""
    result = merged | {"root": place(merged.get("root", Settings.model_fields["root"].default), conf)}
    if isinstance(result.get("inputs"), dict):
        result["inputs"] = {
            table: section | {"path": place(section["path"], conf)}
            if isinstance(section, dict) and section.get("path") else section
            for table, section in result["inputs"].items()
        }
    customers = result.get("customers")
    if isinstance(customers, dict) and customers.get("personal_path"):
        result["customers"] = customers | {"personal_path": place(customers["personal_path"], conf)}
    return result


def place(path: Any, conf: str) -> Any:
    """An absolute path or URI for `path`, which may be relative to the project whose conf lies at `conf`.

    >>> place("lake", "s3://bucket/shop/conf")
    's3a://bucket/shop/lake'
    >>> place("s3://bucket/lake", "conf")
    's3a://bucket/lake'
    >>> place("/data/lake", "conf")
    '/data/lake'
    """
    if not isinstance(path, str) or not path:
        return path
    if _URI.match(path):
        return _S3.sub("s3a://", path)
    if path.startswith("/"):
        return posixpath.normpath(path)
    if _S3.match(conf):
        return _S3.sub("s3a://", posixpath.dirname(conf.rstrip("/"))) + "/" + posixpath.normpath(path)
    return str((Path(conf).resolve().parent / path).resolve())


def _issues(error: ValidationError, merged: dict[str, Any], layers: list[Document]) -> list[Issue]:
    """One issue a fault. Where text or a mapping may stand and there is a mapping, only its own faults are told."""
    issues = []
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], merged)
        if not (fault["type"] == "string_type" and isinstance(fault["input"], dict) and len(fault["loc"]) > len(path)):
            issues.append(_issue(layers, path, *_message(fault, path)))
    return issues


def _path(location: tuple[str | int, ...], merged: Any) -> tuple[str | int, ...]:
    """The keys of a fault's place, without the names of types that were tried there."""
    path: list[str | int] = []
    here = merged
    for part in location:
        if isinstance(here, dict) and part in here:
            path.append(part)
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    return tuple(path)


def _message(fault: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[str, str]:
    if fault["type"] == "extra_forbidden":
        return f"unknown key {path[-1]!r}", nearest(str(path[-1]), _keys(path[:-1]))
    if fault["type"] == "missing":
        return f"the key {fault['loc'][-1]!r} is missing", ""
    if fault["type"] in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
        return f"{fault['input']!r} is not one of the known values", nearest(str(fault["input"]), allowed)
    if fault["type"] in _PLAIN:
        return _PLAIN[fault["type"]], ""
    text = fault["msg"].removeprefix("Value error, ")
    return (text if fault["type"] == "value_error" else text[0].lower() + text[1:]), ""


def _keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `path` may have; none when it is no section."""
    kind: Any = Settings
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation if str(part) in kind.model_fields else None
        else:
            kind = get_args(kind)[1] if get_args(kind)[:2] else None
    kinds = [option for option in (kind, *get_args(kind)) if isinstance(option, type)]
    sections = [option for option in kinds if issubclass(option, BaseModel)]
    return [field.alias or name for section in sections for name, field in section.model_fields.items()]


def _issue(layers: list[Document], path: tuple[str | int, ...], message: str, hint: str) -> Issue:
    """The issue, at its place in the topmost layer that says anything there."""
    layer = next((layer for layer in reversed(layers) if _says(layer.value, path)), layers[0])
    issue = layer.issue(path, message, hint)
    if layer.file != _ENVIRONMENT:
        return issue
    return replace(issue, file=f"{_ENVIRONMENT} {ENVIRONMENT}{'__'.join(str(part) for part in path).upper()}")


def _says(value: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        if not (part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))):
            return False
        value = value[part]
    return bool(path)

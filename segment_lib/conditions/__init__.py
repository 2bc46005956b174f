"""The condition types, one file each. Importing this package fills the registry; no list is kept by hand."""

import importlib
import pkgutil

from segment_lib.language.condition import REGISTRY, Condition, union

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

#: Any condition type, as pydantic needs it.
AnyCondition = union()

for _condition in REGISTRY.values():
    _condition.model_rebuild(force=True, _types_namespace={"AnyCondition": AnyCondition})

__all__ = ["REGISTRY", "AnyCondition", "Condition"]

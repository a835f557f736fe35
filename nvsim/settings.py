"""What an administrator can set on a GPU model, by the rules of nvsim/catalog/settings.yaml."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CATALOG = Path(__file__).resolve().parent / "catalog" / "settings.yaml"


@functools.cache
def rules() -> tuple[Mapping[str, Any], ...]:
    """The rules, in the catalogue's order; the head of the file says what their keys mean."""
    return tuple(yaml.load(CATALOG.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["rules"])


def settings_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the board's record for a model of gpus.yaml; where two rules name one, the later wins."""
    found: dict[str, Any] = {}
    for rule in rules():
        first, last = rule["architectures"]
        newest = last is None or model["architecture"] <= last
        if first <= model["architecture"] and newest and model["brand"] in rule["brands"]:
            found |= rule["values"]
    return found

"""A comparative study: the recipes that are set side by side, and what was published of the systems that they follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaegan.metrics import Metric


@dataclass(frozen=True)
class Study:
    """Named by ``vaegan compare --study NAME``; an entry point of the group ``vaegan.studies`` holds one.

    Args:
        title: one line.
        recipes: names of recipes, of one kind of signal; the first one's test items and conditions are everybody's.
        measures: restoration measures beside the general and the domain's own, by name.
        published: {SYSTEM: {MEASURE: value}} as they stand in the literature; shown beside ours, on other data.
        source: where those come from, and on what they were measured.
    """

    title: str
    recipes: tuple[str, ...]
    measures: Mapping[str, Metric] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""

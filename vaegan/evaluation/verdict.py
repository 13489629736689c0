"""Who won: a restorer against the best classical method and against doing nothing, in plain words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vaegan.evaluation.result import INPUT, MODEL

Outcome = Literal["win", "tie", "loss"]
Methods = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""``{METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}``."""


@dataclass(frozen=True)
class Comparison:
    """A method against the best of its rivals under one condition.

    Attributes:
        metric: by which they are compared.
        rival: the best rival; ``None`` where there is none.
        gain: how much better the method is than the rival, in ``unit``; negative where it is worse.
        outcome: a tie where the two confidence intervals overlap.
        gain_over_input: how much better it is than doing nothing, ``None`` where nobody judged that.
        outcome_over_input: likewise.
    """

    condition: str
    method: str
    metric: str
    unit: str
    mean: float
    ci95: tuple[float, float]
    rival: str | None = None
    rival_mean: float = 0.0
    rival_ci95: tuple[float, float] = (0.0, 0.0)
    gain: float = 0.0
    outcome: Outcome = "tie"
    gain_over_input: float | None = None
    outcome_over_input: Outcome = "tie"


def overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two confidence intervals have a point in common."""
    return bool(a["ci95"][0] <= b["ci95"][1] and b["ci95"][0] <= a["ci95"][1])


def gain_of(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """How much better ``a`` is than ``b``, in the metric's unit."""
    difference = float(a["mean"]) - float(b["mean"])
    return difference if a["better"] == "higher" else -difference


def best_of(methods: Methods, metric: str, among: Collection[str]) -> str | None:
    """The method with the best mean, or ``None`` where none has the metric."""
    found = [name for name in methods if name in among and metric in methods[name]]
    first = methods[found[0]][metric] if found else None
    return max(found, key=lambda name: gain_of(methods[name][metric], first)) if first else None


def compare(
    condition: str,
    methods: Methods,
    *,
    metric: str = "psnr",
    method: str = MODEL,
    rivals: Collection[str] | None = None,
) -> Comparison | None:
    """Sets a method against the best of its rivals.

    Args:
        condition: for the sentence.
        methods: the numbers of this condition.
        metric: by which to compare; where the method lacks it, the first that it has.
        method: whom to judge.
        rivals: the classical methods; all but the method and the input where nobody says.

    Returns:
        The comparison, or ``None`` where the method was not judged.
    """
    if not methods.get(method):
        return None
    metric = metric if metric in methods[method] else next(iter(methods[method]))
    own = methods[method][metric]
    facts: dict[str, Any] = {}
    among = set(methods) if rivals is None else set(rivals)
    rival = best_of(methods, metric, among - {method, INPUT})
    if rival is not None:
        other = methods[rival][metric]
        facts = {
            "rival": rival,
            "rival_mean": other["mean"],
            "rival_ci95": (other["ci95"][0], other["ci95"][1]),
            "gain": gain_of(own, other),
            "outcome": _outcome(own, other),
        }
    nothing = methods.get(INPUT, {}).get(metric)
    if nothing is not None:
        facts |= {"gain_over_input": gain_of(own, nothing), "outcome_over_input": _outcome(own, nothing)}
    interval = (own["ci95"][0], own["ci95"][1])
    return Comparison(condition, method, metric, own["unit"], own["mean"], interval, **facts)


def _outcome(own: Mapping[str, Any], other: Mapping[str, Any]) -> Outcome:
    if overlap(own, other):
        return "tie"
    return "win" if gain_of(own, other) > 0 else "loss"


def sentence(result: Comparison) -> str:
    """The comparison in plain words: ``At noise sigma=50/255 the model restores 3.1 dB better than ...``."""
    at = "At" if any(letter.isdigit() for letter in result.condition) else "With"
    start, who = f"{at} {result.condition} the {result.method}", f"the best classical method ({result.rival})"
    amount = quantity(abs(result.gain), result)
    if result.rival is None:
        text = f"{start} reaches {quantity(result.mean, result)}, without a classical method beside it"
    elif result.outcome == "tie":
        text = f"{start} ties with {who}: {amount} apart, with overlapping 95\u00a0% intervals"
    else:
        text = f"{start} restores {amount} {'better' if result.outcome == 'win' else 'worse'} than {who}"
    if result.gain_over_input is None:
        return f"{text}."
    amount = quantity(abs(result.gain_over_input), result)
    but = "and is" if result.outcome in ("tie", result.outcome_over_input) else "but is"
    nothing = {
        "win": f", {but} {amount} better than the input itself",
        "tie": f", {but} level with the input itself, that is with doing nothing",
        "loss": f", {but} {amount} worse than the input itself, that is than doing nothing",
    }[result.outcome_over_input]
    return f"{text}{nothing}."


def quantity(value: float, result: Comparison) -> str:
    """A value of the compared metric with its unit, for example ``3.1 dB`` or ``0.021 in ssim``."""
    if result.unit == "dB":
        return f"{value:.1f} dB" if value >= 0.1 else f"{value:.2f} dB"
    unit = "" if result.unit == "1" else f" {result.unit}"
    return f"{value:.3g}{unit} in {result.metric}"


def tally(results: Collection[Comparison]) -> str:
    """How often the method won, tied and lost, or ``""`` for fewer than two comparisons."""
    judged = [result.outcome for result in results if result.rival is not None]
    if len(judged) < 2:
        return ""
    parts = {"win": "ahead in", "tie": "level in", "loss": "behind in"}
    counts = [f"{words} {judged.count(outcome)}" for outcome, words in parts.items() if outcome in judged]
    return f"Against the best classical method under {len(judged)} conditions: {', '.join(counts)}."


def generation_sentence(methods: Methods, method: str = MODEL) -> str:
    """How good generated signals are, in plain words; the method with ``model`` first, its first metric."""
    if not methods.get(method):
        return "Nothing was measured in this run."
    metric, own = next(iter(methods[method].items()))
    better = f"{own['better']} is better"
    text = f"Generated signals reach {metric} {float(own['mean']):.4g} ({better})"
    rival = best_of(methods, metric, set(methods) - {method})
    if rival is None:
        return f"{text}; nothing was measured beside it."
    other = methods[rival][metric]
    words = {"win": "better than", "tie": "level with", "loss": "worse than"}[_outcome(own, other)]
    return f"{text}, {words} {rival} ({float(other['mean']):.4g})."

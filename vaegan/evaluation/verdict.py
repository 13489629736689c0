"""Who won: a restorer against the best classical method and against doing nothing, in plain words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vaegan.evaluation.result import INPUT, LATENTS, MIXTURE, MODEL, REAL

Outcome = Literal["win", "tie", "loss"]
Methods = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""``{METHOD: {METRIC: {"mean", "ci95", "n", "unit", "better"}}}``."""
MEMORISATION = ("nearer_than_test", "copies")
"""Measures of how new draws are, which say nothing of how good they are."""


@dataclass(frozen=True)
class Comparison:
    """A method against the best of its rivals under one condition.

    Attributes:
        metric: by which they are compared.
        rival: the best rival; ``None`` where there is none.
        gain: how much better the method is than the rival, in ``unit``; negative where it is worse.
        outcome: a tie where the two confidence intervals overlap, or are of too few items to say.
        gain_over_input: how much better it is than doing nothing, ``None`` where nobody judged that.
        outcome_over_input: likewise.
        n: items that the method was judged on, where they are too few to say more.
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
    n: int | None = None


FEWEST = 5
"""Items below which nothing is better than something else: the percentile bootstrap's intervals are too narrow for so few
(of two methods that are alike it tells apart half of the pairs at n = 2, a quarter at 3)."""


def overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two confidence intervals have a point in common, or are of too few items to say; a mean alone is a point."""
    if any(_is_of_few(entry) for entry in (a, b)):
        return True
    (a_low, a_high), (b_low, b_high) = (entry.get("ci95") or [entry["mean"]] * 2 for entry in (a, b))
    return bool(a_low <= b_high and b_low <= a_high)


def _is_of_few(entry: Mapping[str, Any]) -> bool:
    return int(entry.get("n", FEWEST)) < FEWEST


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
    if _is_of_few(own):
        facts["n"] = int(own["n"])
    interval = (own["ci95"][0], own["ci95"][1])
    return Comparison(condition, method, metric, own["unit"], own["mean"], interval, **facts)


def _outcome(own: Mapping[str, Any], other: Mapping[str, Any]) -> Outcome:
    if overlap(own, other):
        return "tie"
    return "win" if gain_of(own, other) > 0 else "loss"


def sentence(result: Comparison) -> str:
    """The comparison in plain words: ``At noise sigma=50/255 the model restores 3.1 dB better than ...``."""
    return f"{_against_rival(result)}{_against_input(result)}."


def headline(result: Comparison, generation: Methods | None = None) -> str:
    """The comparison joined with what the method's samples cover, where that was measured.

    That the method beats doing nothing is then left out, and that it does not is kept.
    """
    covered = _covered((generation or {}).get(result.method, {}))
    if not covered:
        return sentence(result)
    if result.n is None and (result.gain_over_input is None or result.outcome_over_input == "win"):
        return f"{_against_rival(result)}, and its samples {covered}."
    return f"{_against_rival(result)}{_against_input(result)}; its samples {covered}."


def left_out(result: Comparison, generation: Methods | None = None) -> str:
    """What :func:`headline` left out of :func:`sentence`, or ``""``."""
    covered = _covered((generation or {}).get(result.method, {}))
    if not covered or result.gain_over_input is None or result.outcome_over_input != "win":
        return ""
    return f"It is {quantity(result.gain_over_input, result)} better than the input itself."


def _called(method: str) -> str:
    return f"the {MODEL}" if method == MODEL else method


def _at(condition: str) -> str:
    return f"{'At' if any(letter.isdigit() for letter in condition) else 'With'} {condition}"


def _against_rival(result: Comparison) -> str:
    start, who = f"{_at(result.condition)} {_called(result.method)}", f"the best classical method ({result.rival})"
    amount = quantity(abs(result.gain), result)
    if result.rival is None:
        return f"{start} reaches {quantity(result.mean, result)}, without a classical method beside it"
    if result.n is not None:
        return f"{start} comes out {amount} {_comes_out(result.gain)} than {who}"
    if result.outcome == "tie":
        return f"{start} ties with {who}: {amount} apart, with overlapping 95\u00a0% intervals"
    return f"{start} restores {amount} {'better' if result.outcome == 'win' else 'worse'} than {who}"


def _comes_out(gain: float) -> str:
    return "better" if gain > 0 else "worse"


def _against_input(result: Comparison) -> str:
    few = "" if result.n is None else f": n = {result.n} is too few to tell them apart"
    if result.gain_over_input is None:
        return "" if result.rival is None else few
    amount = quantity(abs(result.gain_over_input), result)
    if few:
        joined = ", and comes out" if result.rival is None else " and"
        return f"{joined} {amount} {_comes_out(result.gain_over_input)} than the input itself{few}"
    but = "and is" if result.outcome in ("tie", result.outcome_over_input) else "but is"
    return {
        "win": f", {but} {amount} better than the input itself",
        "tie": f", {but} level with the input itself, that is with doing nothing",
        "loss": f", {but} {amount} worse than the input itself, that is than doing nothing",
    }[result.outcome_over_input]


def split_name(name: str) -> tuple[str, str]:
    """``fid[x]`` as ``("fid", "x")``; without brackets the second is empty."""
    metric, _, extractor = name.partition("[")
    return metric, extractor.removesuffix("]")


def share(value: float) -> str:
    """A share in per cent: ``41 %``, ``0.4 %``."""
    percent = 100.0 * value
    digits = 0 if percent == 0 or 1 <= percent <= 99 or percent == 100 else 1
    return f"{percent:.{digits}f}\u00a0%"


def _covered(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """``cover 41 % of the data``: coverage where it was measured, else recall, by the first extractor that has it."""
    for metric, verb in (("coverage", "cover"), ("recall", "reach")):
        for name, entry in numbers.items():
            if split_name(name)[0] == metric:
                return f"{verb} {share(float(entry['mean']))} of the data"
    return ""


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
    """How good generated signals are, in plain words.

    What they cover and how many lie among real ones, where that was measured; else the method's first metric.
    """
    if not methods.get(method):
        return "Nothing was measured in this run."
    extractor = next((split_name(name)[1] for name in methods[method] if split_name(name)[0] == "coverage"), None)
    names = [name for name in (f"coverage[{extractor}]", f"precision[{extractor}]") if name in methods[method]]
    if len(names) == 2:
        covered, real = (share(float(methods[method][name]["mean"])) for name in names)
        within = [share(float(methods[REAL][name]["mean"])) for name in names if name in methods.get(REAL, {})]
        reach = f"; real training items reach {within[0]} and {within[1]}" if len(within) == 2 else ""
        return f"Drawn signals cover {covered} of the data, and {real} of them lie among real ones{reach}."
    measured = {name: entry for name, entry in methods[method].items() if split_name(name)[0] not in MEMORISATION}
    if not measured:
        return "Generated signals could not be judged: the notes beside the table say why."
    metric, own = next(iter(measured.items()))
    covered = _covered(methods[method])
    better = f"{own['better']} is better"
    start = f"Generated signals {covered} and" if covered else "Generated signals"
    text = f"{start} reach {metric} {float(own['mean']):.4g} ({better})"
    rival = best_of(methods, metric, set(methods) - {method, MIXTURE.format(method), LATENTS.format(method)})
    if rival is None:
        return f"{text}; nothing was measured beside it."
    other = methods[rival][metric]
    words = {"win": "better than", "tie": "level with", "loss": "worse than"}[_outcome(own, other)]
    return f"{text}, {words} {rival} ({float(other['mean']):.4g})."


def drawing_verdict(methods: Methods, models: Sequence[str]) -> tuple[Outcome, str]:
    """How good generated signals are, and of several models whose are best: by Fréchet distance, or the kernel distance.

    Args:
        methods: the numbers of what was drawn.
        models: the names that are compared; draws from N(0, I) are told of.

    Returns:
        ``"win"`` where one model beats the runner-up, else ``"tie"``, and the sentence.
    """
    drawing = [model for model in models if methods.get(model)]
    if len(models) < 2 or not drawing:
        return "tie", generation_sentence(methods, models[0])
    own = generation_sentence(methods, drawing[0])
    if len(drawing) < 2:
        return "tie", f"Of {len(models)} models {drawing[0]} alone draws. Its {own[:1].lower()}{own[1:]}"
    shared = [name for name in methods[drawing[0]] if all(name in methods[model] for model in drawing)]
    order = [name for wanted in ("fid", "kid") for name in shared if split_name(name)[0] == wanted]
    metric = next(iter([*order, *(name for name in shared if split_name(name)[0] not in MEMORISATION)]), "")
    best = best_of(methods, metric, drawing)
    second = best_of(methods, metric, [model for model in drawing if model != best])
    if best is None or second is None:
        return "tie", f"{drawing[0]}: {own}"
    ahead = not overlap(methods[best][metric], methods[second][metric])
    placed = f"and beats the runner-up {second}" if ahead else f"but is level with the runner-up {second}"
    own = generation_sentence(methods, best)
    text = f"Of {len(drawing)} models {best} draws best by {metric}, {placed}. Its {own[:1].lower()}{own[1:]}"
    return "win" if ahead else "tie", text


def best_model(
    condition: str,
    methods: Methods,
    models: Sequence[str],
    differences: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    metric: str = "psnr",
) -> tuple[str, Outcome, str] | None:
    """Which of several models is best under a condition, and whether it beats the runner-up.

    Args:
        condition: for the sentence.
        methods: the numbers of this condition.
        models: the names that are compared.
        differences: {METRIC: {"A − B": {"mean", "ci95", ...}}} of the same items; without the pair in question the
            two intervals are held against each other.
        metric: by which to compare.

    Returns:
        The best model's name, ``"win"`` or ``"tie"``, and the sentence; ``None`` where fewer than two have the metric.
    """
    best = best_of(methods, metric, models)
    second = best_of(methods, metric, [model for model in models if model != best])
    if best is None or second is None:
        return None
    own, other = methods[best][metric], methods[second][metric]
    result = Comparison(condition, best, metric, own["unit"], own["mean"], (own["mean"], own["mean"]))
    compared = sum(metric in methods.get(model, {}) for model in models)
    start = f"{_at(condition)} {_called(best)} restores best of {compared} models ({quantity(own['mean'], result)})"
    paired = paired_difference((differences or {}).get(metric, {}), best, second)
    if paired is None:
        ahead = not overlap(own, other)
        amount, basis = abs(gain_of(own, other)), "the intervals overlap" if not ahead else "the intervals are apart"
    else:
        amount, (low, high) = abs(paired["mean"]), paired["ci95"]
        ahead = excludes_zero(paired)
        numbers = " to ".join(f"{value:.3g}".replace("-", "\u2212") for value in sorted((low, high)))
        basis = f"95\u00a0% interval of the paired difference: {numbers}"
    if not ahead and _is_of_few(own):
        basis = f"n = {own['n']} is too few to say more"
    by = f"{amount:.3g} dB" if own["unit"] == "dB" else quantity(amount, result)
    if ahead:
        return best, "win", f"{start}, and beats the runner-up {second} by {by} ({basis})."
    return best, "tie", f"{start}, but is level with the runner-up {second}: {by} apart ({basis})."


def paired_difference(pairs: Mapping[str, Mapping[str, Any]], a: str, b: str) -> dict[str, Any] | None:
    """The difference a − b, whichever way round it is known."""
    forth, back = pairs.get(f"{a} \u2212 {b}"), pairs.get(f"{b} \u2212 {a}")
    if forth is not None:
        return dict(forth)
    if back is None:
        return None
    low, high = back["ci95"]
    return {**back, "mean": -back["mean"], "ci95": [-high, -low]}


def excludes_zero(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference lies on one side of zero, and is not of too few items to say."""
    low, high = difference["ci95"]
    return bool(low > 0 or high < 0) and not _is_of_few(difference)

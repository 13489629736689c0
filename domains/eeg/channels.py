"""What a channel records, by its name: files often type every channel as EEG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

Kind = Literal["eeg", "eog", "emg", "ecg", "other"]

TEN_TWENTY = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip
"""The 19 electrodes of the international 10-20 system, under their present names."""

FORMER = {"t3": "T7", "t4": "T8", "t5": "P7", "t6": "P8"}
"""Former names of temporal electrodes."""
REFERENCES = ("a1", "a2", "m1", "m2")
"""Earlobes and mastoids: behind another electrode they say what it was measured against."""

_TAIL = r"([\s_:/.-].*)?"
_SIDE = r"(l|r|left|right)?"
_KINDS: tuple[tuple[Kind, str], ...] = (
    # VEO and HEO are Neuroscan's
    ("eog", rf"[a-z]?eog.*|.*[\s_-]eog.*|eye.*|e[1-4][-_]?[am][12]|[lr]oc{_TAIL}|[hv]eo[lrud]?{_TAIL}"),
    # of nights: muscles of the chin and of both shins
    ("emg", rf"emg.*|chin.*|.*[\s_-]emg.*|{_SIDE}[\s_/.-]*(legs?|tib)[\s_/.-]*{_SIDE}\d*{_TAIL}|[lr]at{_TAIL}|plm.*"),
    ("ecg", r"e[ck]g.*|.*[\s_-]e[ck]g.*"),
    (
        "other",
        r"status|sti\s?\d*|stim.*|trig.*|marker.*|event.*|exg\s?\d+|erg.*|resp.*|gsr.*|temp|plet.*|lfp.*|ecog.*|"
        r"seeg.*|mov.*|accel.*|acc[-_ ]?[xyz]|misc.*|aux.*|s[ap]o2.*|time.*|edf annotations|"
        # what amplifiers and headsets record beside
        rf"dc[\s_-]?\d+{_TAIL}|eda.*|gyro.*|photo.*|audio.*|sound.*|microphone.*|mic{_TAIL}|.*timestamp|counter|battery|"
        r"interpolated|raw_cq|cq_.*|(packet|sample)[\s_]?(counter|index|number)|"
        # of nights and of intensive care
        rf"ox\s?stat.*|osat.*|h\.?r\.?|pr|heart.*|pulse.*|.*flow{_TAIL}|new air|snor.*|thor.*|abd.*|chest.*|effort.*|"
        rf"nasal.*|cannula.*|therm.*|ptaf.*|cpap.*|(et[\s_-]?)?co2.*|bp\d+{_TAIL}|pos(ition)?{_TAIL}|light.*|"
        rf"temp{_TAIL}|photic.*|ibi{_TAIL}|bursts?{_TAIL}|suppr.*",
    ),
)
_TYPES: dict[str, Kind] = {"eog": "eog", "emg": "emg", "ecg": "ecg"}


@lru_cache(maxsize=1)
def _standard() -> dict[str, str]:
    """Lower-case name to name, of the electrodes of the 10-05 system that MNE knows."""
    import mne

    known = mne.channels.get_builtin_montages()  # MNE 1.13 renamed it
    names = mne.channels.make_standard_montage("colin27_1005" if "colin27_1005" in known else "standard_1005").ch_names
    return {name.lower(): name for name in names} | FORMER


def _short(name: str) -> str:
    """A name without dots at its ends and without ``EEG`` before it."""
    return re.sub(r"(?i)^eeg[\s_:-]*", "", name.strip().strip(".").strip())


def electrodes(name: str) -> tuple[str, ...]:
    """Standard names of what a channel was measured between: an electrode, the two of a bipolar channel, or none known.

    ``"EEG FP1-REF"`` and ``"Fp1-A2"`` are ``("Fp1",)``, whose reference is no scalp electrode; ``"FP1-F7"`` is
    ``("Fp1", "F7")``.
    """
    short, known = _short(name).lower(), _standard()
    if short in known:
        return (known[short],)
    first, *rest = (part.strip() for part in re.split(r"[-_:]", short))
    if first not in known:
        return ()
    others = [known[part] for part in rest[:1] if part in known and part not in REFERENCES]
    return (known[first], *others)


def plain_name(name: str) -> str:
    """An electrode's standard name: without dots, ``EEG`` before it and a reference behind it.

    ``"Fc5."`` becomes ``"FC5"``, ``"EEG FP1-REF"`` ``"Fp1"``, ``"T3"`` ``"T7"``; unknown names and those of bipolar channels
    come back stripped.
    """
    found = electrodes(name)
    return found[0] if len(found) == 1 else _short(name)


def places(names: Sequence[str]) -> dict[str, int]:
    """Where electrodes stand, by their standard names.

    Of several channels of one electrode, against other references, the one whose name states none counts, else the first.
    """
    bare = [i for i, name in enumerate(names) if _short(name).lower() in _standard()]
    found: dict[str, int] = {}
    for i in (*bare, *range(len(names))):
        found.setdefault(plain_name(names[i]), i)
    return found


def is_known(name: str) -> bool:
    """Whether a channel is called as an electrode of the 10-05 system, or as two of them."""
    return bool(electrodes(name))


def kind_of(name: str, mne_type: str = "eeg") -> Kind:
    """What a channel records. Its name counts more than the type that a reader gave it.

    Args:
        name: the channel's name.
        mne_type: the type in MNE, for example ``"eeg"``, ``"eog"``, ``"misc"``.
    """
    lowered = name.strip().lower()
    for kind, pattern in _KINDS:
        if re.fullmatch(pattern, lowered) or re.fullmatch(pattern, re.sub(r"^eeg[\s_:-]+", "", lowered)):
            return kind
    if mne_type in _TYPES:
        return _TYPES[mne_type]
    if mne_type == "eeg" or (mne_type in ("misc", "bio") and is_known(name)):
        return "eeg"
    return "other"


def indices(names: Sequence[str], types: Sequence[str], kind: Kind) -> list[int]:
    """Which channels are of a kind."""
    return [i for i, (name, mne_type) in enumerate(zip(names, types, strict=True)) if kind_of(name, mne_type) == kind]

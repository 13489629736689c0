"""Contract checks that a third party can run on its own domain, degradation, model or objective.

The check of a domain returns one :class:`Check` for each part of the contract, so that a report can show them all. Every
other raises :class:`ContractError`, an ``AssertionError`` that says what was expected.
"""

from __future__ import annotations

from vaegan.testing.degradations import ContractError, check_degradation, check_linear_adjoint
from vaegan.testing.domains import Check, check_domain
from vaegan.testing.objectives import check_model, check_objective

__all__ = [
    "Check",
    "ContractError",
    "check_degradation",
    "check_domain",
    "check_linear_adjoint",
    "check_model",
    "check_objective",
]

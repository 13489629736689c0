"""Contract checks that a third party can run on its own domain and degradations.

Each check of a degradation raises :class:`ContractError`, an ``AssertionError`` that says what was expected;
the check of a domain returns one :class:`Check` for each part of the contract, so that a report can show them
all.
"""

from __future__ import annotations

from vaegan.testing.degradations import ContractError, check_degradation, check_linear_adjoint
from vaegan.testing.domains import Check, check_domain

__all__ = ["Check", "ContractError", "check_degradation", "check_domain", "check_linear_adjoint"]

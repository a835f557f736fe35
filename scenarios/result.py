"""How one case went on one engine."""

import shlex
from dataclasses import dataclass, replace
from typing import Any, Literal

from scenarios.model import Case
from scenarios.trail import Trail


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`step` counts from 1, 0 where no step is to blame.  `unseen`: words that this level cannot see.

    `detail` is why it did not run, or what went wrong outside the expectations; `allowed`: the case itself says that it
    does not run here.  `trails`: the steps that were carried out, for a report that shows them."""

    case: Case
    engine: str
    level: str
    status: Literal["passed", "failed", "not run"] = "passed"
    seconds: float = 0.0
    step: int = 0
    line: str = ""
    differences: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()
    detail: str = ""
    allowed: bool = False
    trails: tuple[Trail, ...] = ()

    def replaced(self, **changes: Any) -> "Result":
        """The same result with other values."""
        return replace(self, **changes)

    @property
    def again(self) -> str:
        """The command line that opens this case where it failed."""
        word = shlex.quote(self.case.word)
        if self.level == "spec":
            return f"nvsim run {word} --engine spec"
        step = f" --step {self.step}" if self.step else ""
        return f"nvsim keep {word} --engine {self.engine}{step}"

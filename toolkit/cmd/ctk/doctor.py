"""nvidia-ctk doctor: the known mistakes of this host, each with evidence, remedy and the report it is known from.

Reads, and changes nothing; works on a host on which nothing else does.
"""

import os
from typing import Any

from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.errors import ConfigError
from toolkit.model.doctor import SEVERITIES, Finding

EXIT_CODES = {"error": 3, "warning": 2, "info": 0}
SHOWN = 6  # lines of evidence that a person gets to see


def doctor(values: Values) -> int:
    """0 if nothing is worse than a remark, 2 for warnings, 3 for errors."""
    from toolkit.gather.doctor import read_facts
    from toolkit.plan.doctor import DRIVER_CHECKS, findings
    from toolkit.plan.doctor_setup import SETUP_CHECKS

    if values.text("format") not in ("text", "json"):
        raise ConfigError(f"invalid output format: {values.text('format')}", source="--format", hint="text or json")
    facts = read_facts(values.text("config"), dict(os.environ))
    found = findings(facts, (*DRIVER_CHECKS, *SETUP_CHECKS))
    if values.text("format") == "json":
        import json

        print(json.dumps(_document(found), indent=2))
    else:
        print(_text(found))
    return max((EXIT_CODES[finding.severity] for finding in found), default=0)


def _document(found: tuple[Finding, ...]) -> dict[str, Any]:
    return {"findings": [finding._asdict() for finding in found],
            "counts": {severity: sum(f.severity == severity for f in found) for severity in SEVERITIES}}


def _text(found: tuple[Finding, ...]) -> str:
    if not found:
        return "nothing that is known as a mistake"
    lines = []
    for finding in found:
        lines.append(f"{finding.severity:<7}  {finding.name}: {finding.what}")
        shown = finding.evidence[:SHOWN]
        lines += [f"{'':<11}{line}" for text in shown for line in text.splitlines()]
        if len(finding.evidence) > SHOWN:
            lines.append(f"{'':<11}… and {len(finding.evidence) - SHOWN} more")
        lines.append(f"{'':<9}remedy: {finding.remedy}")
        if finding.report:
            lines.append(f"{'':<9}known from: {finding.report}")
        lines.append("")
    counts = ((severity, sum(f.severity == severity for f in found)) for severity in SEVERITIES)
    return "\n".join([*lines, ", ".join(f"{count} {name}{'s' * (count != 1 and name != 'info')}"
                                        for name, count in counts if count)])


COMMAND = Command(
    name="doctor",
    usage="Look for the known mistakes of this host; exit code 0, 2 for warnings, 3 for errors",
    flags=(Flag("format", "text or json", "text"),),
    run=doctor,
)

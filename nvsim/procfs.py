"""What process 1 of a machine reads from the real kernel's /proc, and the texts that it makes of it.

Kept free of heavy imports, like nvsim/enter.py, which uses it."""

# Of which a machine has its own or none.
OTHER_MAJORS = ("gdrdrv", "infiniband_mad", "infiniband_verbs", "nvgpu", "nvhost")


def text(path: str) -> str:
    """The text of a file; empty for one that cannot be read."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def devices(real: str, built: str) -> str:
    """/proc/devices of the real kernel with the character devices of the built host, NVIDIA's own replaced."""
    ours = [line for line in built.partition("Block devices:")[0].splitlines() if _is_ours(line)]
    head, block, tail = real.partition("Block devices:")
    lines = [line for line in head.splitlines() if not _is_ours(line)]
    while lines and not lines[-1]:
        lines.pop()
    title, rest = lines[:1], lines[1:]
    rest = sorted([*rest, *ours], key=lambda line: int(line.split()[0]) if line.split() else 0)
    return "\n".join([*title, *rest]) + "\n\n" + block + tail


def _is_ours(line: str) -> bool:
    return "nvidia" in line or line.split()[-1:] in [[name] for name in OTHER_MAJORS]


def misc(real: str, built: str) -> str:
    """/proc/misc of the real kernel with the lines of the built host whose minors are free."""
    taken = {line.split()[0] for line in real.splitlines() if line.split()}
    return "".join(line + "\n" for line in built.splitlines() if line.split()[0] not in taken) + real


def mounts_below(target: str) -> list[str]:
    """Mount points strictly below a folder, outermost first, without those inside another one of them."""
    with open("/proc/self/mountinfo") as f:
        points = sorted({line.split()[4].encode().decode("unicode_escape") for line in f})
    found: list[str] = []
    for point in points:
        if point.startswith(target.rstrip("/") + "/") and not any(point.startswith(p + "/") for p in found):
            found.append(point)
    return found

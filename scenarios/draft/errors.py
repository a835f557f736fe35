"""The error text that a report is about, without what varies from machine to machine."""

import re

# What a line may hold, the most telling first; the text counts from there to the end of the line.
_STEMS = tuple(map(re.compile, (
    r"nvidia-container-cli(?:\.real)?: (?!usage).{6,}",
    r"unresolvable CDI devices .+",
    r"failed to stat CDI host device .+",
    r"failed to unmarshal CDI Spec: .+",
    r"invoking the NVIDIA Container Runtime Hook directly.*",
    r"insufficient privileges to read device list.*",
    r"cannot set MIG_(?:MONITOR|CONFIG)_DEVICES in non privileged container.*",
    r"unsupported capabilities found in .+",
    r"could not apply required modification to OCI specification: .+",
    r"failed to create link.*|failed to check if link exists.*",
    r"could not select device driver .+",
    r"Failed to initialize NVML: .+",
    r"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.*",
    r"Unable to determine the device handle for .+",
    r"No devices were found",
    r"nvidia-ctk: symbol lookup error.+",
    r"error executing hook .+",
    r"error running (?:hook|prestart hook|createContainer hook|startContainer hook) .+",
    r"failed to (?:locate|create discoverer|get libraries|generate CDI spec|initialize|add device rules).+",
    r"(?:RuntimeError: )?CUDA (?:error|driver version is insufficient).+",
    r"CUDA_ERROR_\w+.*",
)))
_OTHER = re.compile(r"(?:^|[\s\]])((?:docker: )?(?:Error|ERROR|error|fatal|FATA\w*|panic)\b[: \[].{8,})")
# Where the text of a container that could not be created comes from; all else was said by a program in one.
_CREATING = re.compile(r"nvidia-container-cli|CDI|could not apply required|Hook directly|insufficient privileges|hook|"
                       r"unsupported capabilities|non privileged container|select device driver|link")
_ROOTFS = re.compile(r"/(?:var|run|home)/[^\s:]*?/(?:merged|rootfs|diff)(?=/)")
_SMI = ("Failed to initialize NVML", "NVIDIA-SMI has failed", "No devices were found", "Unable to determine")


def find(text: str) -> str:
    """The most telling error of a text, "" if there is none."""
    lines = [part for line in text.split("\n") for part in line.replace("\\n", "\n").split("\n") if not _noise(part)]
    for stem in _STEMS:
        for line in lines:
            found = stem.search(line)
            if found:
                return _trimmed(found[0])
    return next((_trimmed(found[1]) for line in lines if (found := _OTHER.search(line))), "")


def _noise(line: str) -> bool:
    """A line of a debug log that is no error, of a table, or a heading."""
    return bool(re.match(r"\s*(?:[IW]\d{4} |-- WARNING|#|\|)", line))


def _trimmed(text: str) -> str:
    text = text.split('\\"')[0].rstrip().rstrip("\\`\"'}")
    text = re.sub(r"\.?(?:: unknown)?\.?$", "", text)
    return text.replace("nvidia-container-cli.real", "nvidia-container-cli").strip()


def at_creation(error: str) -> bool:
    """Whether the container did not start, as opposed to a program in it that failed."""
    return bool(_CREATING.search(error)) and not error.startswith(_SMI)


def stream(error: str) -> str:
    """Where a program in the container writes it: nvidia-smi writes its own errors to standard output."""
    return "stdout" if error.startswith(_SMI) else "stderr"


def pattern(error: str) -> dict[str, str]:
    """The words of `expect` that find the error: `contains`, or `matches` where a folder of the engine's is in it."""
    pieces = _ROOTFS.split(error)
    if len(pieces) == 1:
        return {"contains": error}
    return {"matches": r"\S*".join(re.escape(piece).replace(r"\ ", " ") for piece in pieces)}

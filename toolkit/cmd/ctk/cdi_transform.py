"""nvidia-ctk cdi transform root: a specification for another root.  Source: toolkit v1.20, cmd/nvidia-ctk/cdi."""

import sys

from toolkit.cmd.ctk.cdi_write import write_spec
from toolkit.cmd.ctk.frame import Command, Flag, Values
from toolkit.errors import SpecError
from toolkit.model.cdi import Spec

STDIN = "-"


def transform(values: Values) -> int:
    """Reads a specification, moves its paths, and writes it; on failure nothing is written."""
    from toolkit.plan.root_transform import with_root

    old, new, side = values.text("from"), values.text("to"), values.text("relative-to")
    with_root(Spec(kind=""), old, new, side=side)  # the flags are checked before anything is read
    spec = with_root(_read(values.text("input")), old, new, side=side)
    write_spec(spec, values.text("output"))
    return 0


def _read(path: str) -> Spec:
    from toolkit.gather.cdi_dirs import parsed
    from toolkit.plan.cdi_format import decoding_text, spec_of_dict

    stem = "failed to load CDI specification: "
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as f:
                data = f.read()
    except OSError as e:
        why = f"open {path}: {(e.strerror or str(e)).lower()}"
        raise SpecError(f"{stem}failed to read spec contents: {why}", source="--input") from None
    stem += "failed to parse CDI spec: failed to unmarshal CDI Spec: "
    try:
        document = parsed(data)
    except SpecError as e:
        raise SpecError(stem + e.message, hint=e.hint) from None
    if document is None:  # an empty text is a specification without devices, and refused as such
        return Spec(kind="nvidia.com/gpu", version="0.3.0")
    try:
        return spec_of_dict(document)
    except SpecError as e:
        raise SpecError(stem + decoding_text(e), hint=e.hint) from None


ROOT = Command(
    name="root",
    usage="Moves the paths of a CDI specification below another root",
    run=transform,
    flags=(
        Flag("from", "The root that paths have now"),
        Flag("input", "The specification to read; -: standard input", STDIN),
        Flag("output", "The file to write; its ending decides the format. Empty: standard output"),
        Flag("relative-to", "Whose paths are moved: host or container", "host"),
        Flag("to", "The root that paths shall have; the same as --from: nothing changes"),
    ),
)
TRANSFORM = Command(name="transform", usage="Rewrite a CDI specification", commands=(ROOT,))

"""A CDI specification to stdout or into a file, for `cdi generate` and `cdi transform`.

Source: toolkit v1.20, pkg/nvcdi/spec.
"""

import sys
from posixpath import splitext

from toolkit.errors import ToolkitError
from toolkit.model.cdi import Spec


def write_spec(spec: Spec, output: str, format_: str = "yaml") -> None:
    """Writes a specification to the file `output` ("": stdout), which is replaced as a whole.

    The name's ending decides the format; a name without a known ending gets that of `format_`.  A specification that
    is not valid is not written.  Raises ToolkitError with upstream's texts.
    """
    from toolkit.apply.replace import replace_file

    stem = "failed to write spec" if output else "failed to write CDI spec to STDOUT: failed to write spec"
    path, format_ = output_of(output, format_)
    try:
        data = spec_bytes(spec, format_)
        if path:
            replace_file(path, data, mode=0o644)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except ToolkitError as e:
        raise type(e)(f"{stem}: {e.message}", source=e.source, hint=e.hint) from None


def spec_bytes(spec: Spec, format_: str) -> bytes:
    """A specification as a file of the format "json" or "yaml".  Raises SpecError for one that is not valid."""
    from toolkit.plan.cdi_format import spec_to_dict
    from toolkit.plan.cdi_text import to_json, to_yaml
    from toolkit.plan.cdi_validate import validate

    validate(spec)
    return (to_json if format_ == "json" else to_yaml)(spec_to_dict(spec)).encode("utf-8", "surrogateescape")


def output_of(path: str, format_: str) -> tuple[str, str]:
    """The file to write and its format."""
    extension = splitext(path)[1]
    if not path or extension in (".json", ".yaml"):
        return path, extension[1:] or format_
    return f"{path}.{format_}", format_

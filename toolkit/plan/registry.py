"""CDI documents → the devices that an engine could inject, and what is wrong with the rest.

Source: CDI 1.1.0, pkg/cdi/cache.go.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from toolkit.errors import SpecError
from toolkit.model.cdi import Device, Document, Spec
from toolkit.plan.cdi_format import decoding_text, spec_of_dict
from toolkit.plan.cdi_validate import validate


class Registry(NamedTuple):
    """Devices by qualified name, each with its Spec, and the errors of each file in the order found."""

    devices: Mapping[str, tuple[Spec, Device]]
    errors: Mapping[str, tuple[str, ...]]

    def find(self, name: str) -> tuple[Spec, Device] | None:
        """A device by its qualified name."""
        return self.devices.get(name)


def registry_of(documents: Iterable[Document]) -> Registry:
    """The registry of documents in the order of their priority, lowest first.

    Of devices with the same name the one of the highest priority wins.  Two of the same priority are a conflict: both
    files get an error, and the name is unavailable, whatever other folders say.
    """
    devices: dict[str, tuple[int, Spec, Device]] = {}
    errors: dict[str, list[str]] = {}
    conflicts: set[str] = set()
    for document in documents:
        try:
            spec = spec_of(document)
        except SpecError as e:
            errors.setdefault(document.path, []).append(f"failed to load CDI Spec {e.message}")
            continue
        for device in spec.devices:
            name = f"{spec.kind}={device.name}"
            priority, other, _ = devices.get(name, (-1, spec, device))
            if priority == document.priority:
                conflicts.add(name)
                for path in (document.path, other.path):
                    text = f'conflicting device "{name}" (specs "{document.path}", "{other.path}")'
                    errors.setdefault(path, []).append(text)
            elif priority < document.priority:
                devices[name] = (document.priority, spec, device)
    return Registry(
        devices={name: (spec, device) for name, (_, spec, device) in devices.items() if name not in conflicts},
        errors={path: tuple(texts) for path, texts in errors.items()},
    )


def spec_of(document: Document) -> Spec:
    """The valid Spec in a document.  Raises SpecError with upstream's text, which names the file."""
    if document.error:
        raise SpecError(document.error)
    try:
        spec = spec_of_dict(document.content, document.path)
    except SpecError as e:
        text = f'failed to parse CDI Spec "{document.path}": failed to unmarshal CDI Spec: {decoding_text(e)}'
        raise SpecError(text, hint=e.hint) from None
    validate(spec)
    return spec

"""The parts of CDI's qualified names, and what is wrong with one.  Source: CDI 1.1.0, pkg/parser.

One deliberate difference: a vendor or class of one character is accepted; the library of v1.20 crashes on it.
"""

from toolkit.errors import SpecError

HINT = "a qualified name is vendor/class=device, e.g. nvidia.com/gpu=0"


def is_qualified(name: str) -> bool:
    """Whether a name is fully qualified: vendor/class=device."""
    kind, equals, device = name.partition("=")
    vendor, slash, class_ = kind.partition("/")
    if not equals or not slash:
        return False
    try:
        check_vendor(vendor)
        check_class(class_)
        check_device_name(device)
    except SpecError:
        return False
    return True


def check_vendor(name: str) -> None:
    """A vendor: a letter, then letters, digits, "_", "-" and ".", a letter or digit at the end."""
    _check_kind_part("vendor", name)


def check_class(name: str) -> None:
    """A class, by the rule of `check_vendor`."""
    _check_kind_part("class", name)


def _check_kind_part(what: str, name: str) -> None:
    if not name:
        raise SpecError(f"invalid {what}. empty name", hint=HINT)
    if not _is_letter(name[0]):
        raise SpecError(f'invalid {what}. "{name}", should start with letter', hint=HINT)
    for character in name[1:-1]:
        if not (_is_alphanumeric(character) or character in "_-."):
            raise SpecError(f"invalid {what}. invalid character '{character}' in name \"{name}\"", hint=HINT)
    if not _is_alphanumeric(name[-1]):
        raise SpecError(f'invalid {what}. "{name}", should end with a letter or digit', hint=HINT)


def check_device_name(name: str) -> None:
    """A device: a letter or digit at both ends, letters, digits, "_", "-", "." and ":" between.

    The texts are CDI's, also the one that says "class".
    """
    if not name:
        raise SpecError("invalid (empty) device name", hint=HINT)
    if not _is_alphanumeric(name[0]):
        raise SpecError(f'invalid class "{name}", should start with a letter or digit', hint=HINT)
    for character in name[1:-1]:
        if not (_is_alphanumeric(character) or character in "_-.:"):
            raise SpecError(f"invalid character '{character}' in device name \"{name}\"", hint=HINT)
    if not _is_alphanumeric(name[-1]):
        raise SpecError(f'invalid name "{name}", should end with a letter or digit', hint=HINT)


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _is_alphanumeric(character: str) -> bool:
    return character.isascii() and character.isalnum()

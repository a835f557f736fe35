"""The NRI plugin's part of the conversation with containerd or CRI-O: which CDI devices a container gets.

Messages are Protocol Buffers, of which a plugin needs few fields.  Sources: NRI's api.proto, v1alpha1; the encoding of
Protocol Buffers; toolkit v1.20, cmd/nvidia-ctk-installer/container/runtime/nri.
"""

from typing import NamedTuple

from toolkit.errors import SpecError

Value = int | bytes
DOMAIN = "nvidia.cdi.k8s.io"
MANAGEMENT = "management.nvidia.com/gpu"
RUNTIME = "nri.pkg.api.v1alpha1.Runtime"
PLUGIN = "nri.pkg.api.v1alpha1.Plugin"
CREATE_CONTAINER = 1 << 3  # event 4 of the mask that Configure answers with
UNIMPLEMENTED, INVALID = 12, 3  # gRPC's codes


class Answer(NamedTuple):
    """A message, or the gRPC code and text of a refusal; and a note for the log."""

    payload: bytes = b""
    code: int = 0
    text: str = ""
    note: str = ""


def registration(name: str, index: int) -> bytes:
    """RegisterPluginRequest."""
    return encoded((1, name.encode()), (2, f"{index:02}".encode()))


def answer(service: str, method: str, payload: bytes, namespaces: tuple[str, ...]) -> Answer:
    """The plugin's answer to a call.  `namespaces` are those whose pods may have management devices."""
    if service != PLUGIN:
        return Answer(code=UNIMPLEMENTED, text=f"service {service}")
    try:
        if method == "CreateContainer":
            return _create(payload, namespaces)
        if method == "Configure":
            return Answer(encoded((2, CREATE_CONTAINER)))
        if method == "Synchronize":  # containers that run keep what they have; `more` of them are to come
            return Answer(encoded(*((2, 1) for number, value in decoded(payload) if (number, value) == (3, 1))))
    except SpecError as e:
        return Answer(code=INVALID, text=e.message)
    if method == "Shutdown":
        return Answer()
    return Answer(code=UNIMPLEMENTED, text=f"method {method}")


def _create(payload: bytes, namespaces: tuple[str, ...]) -> Answer:
    """CreateContainerResponse with the devices in the field CDI_devices of its adjustment."""
    pod, container = _message(payload, 1), _message(payload, 2)
    annotations = {_text(entry, 1): _text(entry, 2) for number, entry in decoded(pod)
                   if number == 6 and isinstance(entry, bytes)}
    namespace = _text(pod, 4)
    devices = devices_of(annotations, _text(container, 3))
    note = ""
    if any(MANAGEMENT in device for device in devices) and namespace not in namespaces:
        devices = ()
        note = (f"pod {namespace}/{_text(pod, 2)} is requesting one or more management CDI devices, but it is not in "
                f"one of the allowed namespaces {', '.join(namespaces)}. Skipping CDI device injection...")
    adjustment = encoded(*((8, encoded((1, device.encode("utf-8", "surrogateescape")))) for device in devices))
    return Answer(encoded((1, adjustment)), note=note)


def devices_of(annotations: dict[str, str], container: str) -> tuple[str, ...]:
    """The CDI devices of a container: of its own annotation, else the pod's, else the one without a place."""
    for key in (f"{DOMAIN}/container.{container}", f"{DOMAIN}/pod", DOMAIN):
        if key in annotations:
            return tuple(annotations[key].split(","))
    return ()


def decoded(message: bytes) -> list[tuple[int, Value]]:
    """The fields of a message in their order: number, and a number or the bytes.  Raises SpecError."""
    fields: list[tuple[int, Value]] = []
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == 0:
            value, position = _varint(message, position)
        else:
            length, position = _varint(message, position) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), position)
            value, position = message[position : position + length], position + length
            if length < 0 or position > len(message):
                raise SpecError("not a Protocol Buffers message", source=f"field {number}")
        fields.append((number, value))
    return fields


def encoded(*fields: tuple[int, Value]) -> bytes:
    """A message of these fields."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_number(number << 3), _number(value)]
        else:
            parts += [_number(number << 3 | 2), _number(len(value)), value]
    return b"".join(parts)


def _message(message: bytes, number: int) -> bytes:
    """A field that holds bytes; the last one counts."""
    found = [value for key, value in decoded(message) if key == number and isinstance(value, bytes)]
    return found[-1] if found else b""


def _text(message: bytes, number: int) -> str:
    return _message(message, number).decode("utf-8", "surrogateescape")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise SpecError("not a Protocol Buffers message", source=f"byte {position}")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])

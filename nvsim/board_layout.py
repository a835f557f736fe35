"""How a dataclass lies in the board: each field is a slot of a C struct, at its natural alignment.

A slot is declared where the field is, with its meaning and unit; native/board.h is generated from the same
declarations.  None stands for "this machine does not have that": all bits set, or the smallest value of a signed slot.
"""

import dataclasses
import struct
from typing import Any, NamedTuple

from nvsim.errors import NvsimError

_C = {"u32": ("uint32_t", "I", 4), "i32": ("int32_t", "i", 4), "u64": ("uint64_t", "Q", 8), "text": ("char", "s", 1)}
_ABSENT = {"u32": 2**32 - 1, "i32": -(2**31), "u64": 2**64 - 1}


class Slot(NamedTuple):
    """One field: `kind` is u32, i32, u64 or text, `length` the elements of an array or the bytes of a text, or 0;
    `texts` is how many texts there are, 0 for a single one."""

    name: str
    kind: str
    length: int
    offset: int
    about: str
    live: bool
    texts: int = 0

    @property
    def size(self) -> int:
        return _C[self.kind][2] * (self.length or 1) * (self.texts or 1)

    @property
    def declaration(self) -> str:
        """The slot in C: `uint64_t memory_total;`, `char process_name[32][64];`."""
        dimensions = "".join(f"[{n}]" for n in (self.texts, self.length) if n)
        return f"{_C[self.kind][0]} {self.name}{dimensions};"

    def pack(self, value: Any) -> bytes:
        """The bytes of a value.  Raises NvsimError if the slot cannot hold it."""
        if self.texts:
            return self._pack_texts(value)
        if self.kind == "text":
            return self._pack_text(value)
        values = list(value) if self.length else [value]
        if len(values) > (self.length or 1):
            raise NvsimError(f"{len(values)} values where {self.length} fit", source=self.name)
        if self.length:
            values += [0] * (self.length - len(values))
        try:
            return struct.pack(f"<{len(values)}{_C[self.kind][1]}",
                               *(_ABSENT[self.kind] if v is None else v for v in values))
        except struct.error as e:
            raise NvsimError(f"{value!r} does not fit into {self.kind}", source=self.name, hint=self.about) from e

    def _pack_text(self, value: Any) -> bytes:
        data = value.encode() if isinstance(value, str) else b"\0"
        if b"\0" in data or len(data) >= self.length:
            raise NvsimError(f"expected a text of fewer than {self.length} bytes, got {value!r}", source=self.name)
        return data.ljust(self.length, b"\0")

    def _pack_texts(self, value: Any) -> bytes:
        values = list(value)
        if len(values) > self.texts:
            raise NvsimError(f"{len(values)} texts where {self.texts} fit", source=self.name)
        return b"".join(map(self._pack_text, values)).ljust(self.size, b"\0")

    def unpack(self, data: bytes) -> Any:
        """The value in a record's bytes; arrays are tuples."""
        if self.texts:
            return tuple(self._text(data, self.offset + i * self.length) for i in range(self.texts))
        if self.kind == "text":
            return self._text(data, self.offset)
        found = struct.unpack_from(f"<{self.length or 1}{_C[self.kind][1]}", data, self.offset)
        if self.length:
            return found
        return None if found[0] == _ABSENT[self.kind] else found[0]

    def _text(self, data: bytes, offset: int) -> str:
        return data[offset:offset + self.length].split(b"\0")[0].decode(errors="replace")


class Layout(NamedTuple):
    """The slots of a record, in order, and its size in bytes: a multiple of eight."""

    slots: tuple[Slot, ...]
    size: int

    def pack(self, values: dict[str, Any]) -> bytes:
        """The bytes of a record."""
        data = bytearray(self.size)
        for slot in self.slots:
            data[slot.offset:slot.offset + slot.size] = slot.pack(values[slot.name])
        return bytes(data)

    def unpack(self, data: bytes) -> dict[str, Any]:
        """The values of a record, by name."""
        return {slot.name: slot.unpack(data) for slot in self.slots}

    def slot(self, name: str) -> Slot:
        """The slot of that name.  Raises KeyError."""
        return next(s for s in self.slots if s.name == name)


def text(size: int, about: str, *, default: str = "", live: bool = False) -> Any:
    """A UTF-8 text of fewer than `size` bytes; empty = the board has none."""
    return _field("text", size, about, default, live)


def u32(about: str, *, default: int | None = 0, live: bool = False) -> Any:
    """An unsigned number.  `live`: it can change while the host runs."""
    return _field("u32", 0, about, default, live)


def i32(about: str, *, default: int | None = 0, live: bool = False) -> Any:
    """A signed number."""
    return _field("i32", 0, about, default, live)


def u64(about: str, *, default: int | None = 0, live: bool = False) -> Any:
    """A large unsigned number."""
    return _field("u64", 0, about, default, live)


def array(kind: str, count: int, about: str, *, live: bool = False) -> Any:
    """`count` numbers of a kind; in writing, missing ones are 0.  None has no meaning in an array."""
    return _field(kind, count, about, (0,) * count, live)


def texts(count: int, size: int, about: str, *, live: bool = False) -> Any:
    """`count` UTF-8 texts of fewer than `size` bytes each; in writing, missing ones are empty."""
    return _field("text", size, about, ("",) * count, live, count)


def layout_of(cls: Any) -> Layout:
    """The layout of a dataclass whose fields were declared with the functions above."""
    slots, offset = [], 0
    for f in dataclasses.fields(cls):
        align = _C[f.metadata["kind"]][2]
        offset = (offset + align - 1) // align * align
        slots.append(Slot(name=f.name, offset=offset, **f.metadata))
        offset += slots[-1].size
    return Layout(slots=tuple(slots), size=(offset + 7) // 8 * 8)


def _field(kind: str, length: int, about: str, default: Any, live: bool, texts: int = 0) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind, "length": length, "about": about, "live": live,
                                                        "texts": texts})

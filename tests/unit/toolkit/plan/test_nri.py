"""The NRI plugin's answers.  Messages are written here byte by byte, or by the field numbers of NRI's api.proto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import SpecError
from toolkit.plan import nri

NAMESPACES = ("gpu-operator", "kube-system")


def call(method, payload=b"", service=nri.PLUGIN):
    return nri.answer(service, method, payload, NAMESPACES)


def created(annotations, namespace="default"):
    """The devices that a container c gets in a pod with annotations, and the note."""
    entries = [(6, nri.encoded((1, key.encode()), (2, value.encode()))) for key, value in annotations.items()]
    pod = nri.encoded((1, b"id"), (2, b"pod"), (4, namespace.encode()), *entries)
    found = call("CreateContainer", nri.encoded((1, pod), (2, nri.encoded((1, b"id"), (3, b"c"), (4, 1)))))
    adjustment = dict(nri.decoded(found.payload))[1]
    devices = [dict(nri.decoded(device))[1].decode() for number, device in nri.decoded(adjustment) if number == 8]
    return devices, found.note


def test_it_registers_with_a_name_and_two_digits():
    assert nri.registration("x", 7) == b"\x0a\x01x\x12\x0207"


def test_it_asks_for_the_creation_of_containers_alone():
    assert call("Configure").payload == b"\x10\x08"


def test_it_waits_for_the_rest_of_a_long_synchronization():
    assert call("Synchronize", b"\x18\x01").payload == b"\x10\x01"
    assert call("Synchronize", b"\x0a\x00").payload == b""


@pytest.mark.parametrize(("annotations", "devices"), [
    ({}, []),
    ({"other": "nvidia.com/gpu=0"}, []),
    ({"nvidia.cdi.k8s.io": "nvidia.com/gpu=0,nvidia.com/gpu=1"}, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
    ({"nvidia.cdi.k8s.io": "a/b=0", "nvidia.cdi.k8s.io/pod": "a/b=1"}, ["a/b=1"]),
    ({"nvidia.cdi.k8s.io/pod": "a/b=1", "nvidia.cdi.k8s.io/container.c": "a/b=2"}, ["a/b=2"]),
    ({"nvidia.cdi.k8s.io/container.other": "a/b=2"}, []),
])
def test_the_nearest_annotation_counts(annotations, devices):
    assert created(annotations) == (devices, "")


def test_one_management_device_outside_the_namespaces_blocks_all():
    wanted = {"nvidia.cdi.k8s.io": "nvidia.com/gpu=0,management.nvidia.com/gpu=all"}
    devices, note = created(wanted)
    assert devices == []
    assert note.startswith("pod default/pod is requesting one or more management CDI devices, ")
    assert created(wanted, "kube-system") == (["nvidia.com/gpu=0", "management.nvidia.com/gpu=all"], "")


def test_what_it_does_not_know_is_refused():
    assert call("StopContainer").code == nri.UNIMPLEMENTED
    assert call("Configure", service="x").code == nri.UNIMPLEMENTED
    assert call("Shutdown").code == 0
    assert call("CreateContainer", b"\x0a\x05x").code == nri.INVALID


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(0, 1 << 63) | st.binary())))
def test_what_is_written_is_read(fields):
    assert nri.decoded(nri.encoded(*fields)) == fields


@given(st.binary())
def test_any_bytes_are_fields_or_an_error(data):
    try:
        nri.decoded(data)
    except SpecError:
        pass

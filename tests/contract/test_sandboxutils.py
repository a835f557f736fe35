"""libnvidia-sandboxutils.so.1 as a CDI generator calls it, on a host that was built in place."""

import ctypes
import os

import pytest

from nvsim import build, profile
from nvsim.native.compile import compile_all

DRIVER = "580.105.08"
LIB = "/usr/lib/x86_64-linux-gnu"
BY_UUID, BY_MIG_UUID, BY_PCI_ID, BY_INDEX = range(4)


class Input(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("type", ctypes.c_uint32), ("value", ctypes.c_char * 256)]


class File(ctypes.Structure):
    pass


File._fields_ = [("next", ctypes.POINTER(File)), ("type", ctypes.c_uint32), ("kind", ctypes.c_uint32),
                 ("module", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("path", ctypes.c_char_p)]


class Request(ctypes.Structure):
    _fields_ = [*Input._fields_, ("files", ctypes.POINTER(File))]


class Sandbox:
    """The library of a host, and the host."""

    def __init__(self, root):
        compile_all()
        self.machine = build.build(profile.of({"profile": "a100x8", "driver": DRIVER}, "host"), root, nodes=False,
                                   dev_root=root)
        self.root, self.lib = root, ctypes.CDLL(f"{root}{LIB}/libnvidia-sandboxutils.so.{DRIVER}")

    def start(self, version=1, kind=1):
        return self.lib.nvSandboxUtilsInit(ctypes.byref(Input(version, kind, self.root.encode())))

    def ask(self, kind, value):
        """Code, and the files of a GPU: kind → (path, flags)."""
        request = Request(1, kind, value.encode())
        code, found = self.lib.nvSandboxUtilsGetGpuResource(ctypes.byref(request)), {}
        file = request.files
        while file:
            found[file.contents.kind] = (file.contents.path.decode(), file.contents.flags)
            file = file.contents.next
        return code, found

    def content(self, path, size=256):
        buffer, length = ctypes.create_string_buffer(size), ctypes.c_uint(size)
        code = self.lib.nvSandboxUtilsGetFileContent(path.encode(), buffer, ctypes.byref(length))
        return code or (buffer.value.decode(), length.value)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    sandbox = Sandbox(str(tmp_path_factory.mktemp("sandbox") / "host"))
    yield sandbox
    sandbox.lib.nvSandboxUtilsShutdown()


def test_before_init_nothing_answers(sandbox):
    assert sandbox.lib.nvSandboxUtilsShutdown() in (0, 1)
    assert (sandbox.lib.nvSandboxUtilsShutdown(), sandbox.ask(BY_INDEX, "0")[0], sandbox.content("/x")) == (1, 1, 1)


def test_an_unknown_version_or_way_to_start_is_refused(sandbox):
    assert (sandbox.start(version=2), sandbox.start(kind=2), sandbox.lib.nvSandboxUtilsInit(None)) == (5, 2, 3)


def test_the_driver_version_is_that_of_the_driver_root(sandbox):
    buffer = ctypes.create_string_buffer(100)
    assert (sandbox.start(), sandbox.lib.nvSandboxUtilsGetDriverVersion(buffer, 100)) == (0, 0)
    assert buffer.value.decode() == DRIVER
    assert sandbox.lib.nvSandboxUtilsGetDriverVersion(buffer, 5) == 4


def test_the_files_of_a_gpu_are_found_by_uuid_address_and_index(sandbox):
    sandbox.start()
    gpu = sandbox.machine.gpus[2]
    code, files = sandbox.ask(BY_UUID, gpu.uuid)
    card = os.readlink(f"{sandbox.root}/dev/dri/by-path/pci-{gpu.bus_id}-card").rpartition("/")[2]
    assert (code, files[0][0], files[11][0]) == (0, f"/dev/nvidia{gpu.minor}", f"/proc/driver/nvidia/gpus/{gpu.bus_id}")
    assert files[1] == (f"/dev/dri/{card}", 0) and files[3] == (f"/dev/dri/by-path/pci-{gpu.bus_id}-card", 4)
    assert files[2][0].startswith("/dev/dri/renderD") and files[4][0].endswith("-render")
    assert sandbox.ask(BY_PCI_ID, gpu.bus_id) == sandbox.ask(BY_INDEX, "2") == (code, files)


def test_a_link_of_an_answer_can_be_read(sandbox):
    sandbox.start()
    path = sandbox.ask(BY_INDEX, "0")[1][3][0]
    target = os.readlink(sandbox.root + path)
    assert sandbox.content(path) == (target, len(target))
    assert (sandbox.content(path, 3), sandbox.content("/dev/none")) == (4, 11)


@pytest.mark.parametrize(("kind", "value", "code"), [
    (BY_UUID, "GPU-00000000-0000-0000-0000-000000000000", 8), (BY_INDEX, "8", 8), (BY_INDEX, "x", 3),
    (BY_PCI_ID, "0000:ff:00.0", 8), (BY_MIG_UUID, "MIG-x", 2), (9, "0", 3)])
def test_a_gpu_that_is_not_there_gets_the_librarys_code(sandbox, kind, value, code):
    sandbox.start()
    assert sandbox.ask(kind, value) == (code, {})

"""What the installer's folder holds, and what an engine's configuration becomes."""

import pytest

from toolkit.model.config import Config
from toolkit.model.install import Copy, Library, Link, Package, Program, Settings, Text
from toolkit.plan import install, install_engine
from toolkit.plan.config_table import table_of
from toolkit.plan.engines import changed
from toolkit.plan.engines_toml import layout_of
from toolkit.plan.install_engine import Containerd

FOLDER = "/usr/local/nvidia/toolkit"
# Source: reference of the installer of v1.20.0.
RUNTIME = """#! /bin/sh
cat /proc/modules | grep -e "^nvidia " >/dev/null 2>&1
if [ "${?}" != "0" ]; then
	echo "nvidia driver modules are not yet loaded, invoking runc directly" >&2
	exec runc "$@"
fi
NVIDIA_CTK_CONFIG_FILE_PATH=/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml \\
PATH=/usr/local/nvidia/toolkit:$PATH \\
	/usr/local/nvidia/toolkit/nvidia-container-runtime.real \\
		"$@"
"""
CLI = """#! /bin/sh
LD_LIBRARY_PATH=/usr/local/nvidia/toolkit:$LD_LIBRARY_PATH \\
PATH=/usr/local/nvidia/toolkit:$PATH \\
	/usr/local/nvidia/toolkit/nvidia-container-cli.real \\
		"$@"
"""


def test_a_runtimes_wrapper_goes_around_a_driver_that_is_not_loaded():
    assert install.wrapper("nvidia-container-runtime", FOLDER, "runc") == RUNTIME


def test_the_clis_wrapper_finds_its_libraries():
    assert install.wrapper("nvidia-container-cli", FOLDER, "runc") == CLI


def test_a_folder_with_a_blank_is_quoted():
    assert "PATH='/a b':$PATH \\\n" in install.wrapper("nvidia-ctk", "/a b", "runc")


def test_programs_are_wrapped_but_for_the_cdi_hook():
    parts = install.plan_parts(
        FOLDER,
        (Library("libnvidia-container.so.1", "/s/libnvidia-container.so.1.20.0", 0o644),
         Library("l.so.1", "/s/l.so.1", 0o755)),
        (Program("nvidia-cdi-hook", "/s/nvidia-cdi-hook", 0o755), Program("nvidia-ctk", "/s/nvidia-ctk", 0o700),
         Program("nvidia-container-runtime-hook", "", 0o755, "text")),
        ("/lib/toolkit",), "runc")
    assert [part for part in parts if not isinstance(part, Text)] == [
        Copy("libnvidia-container.so.1.20.0", "/s/libnvidia-container.so.1.20.0", 0o644),
        Link("libnvidia-container.so.1", "libnvidia-container.so.1.20.0"),
        Copy("l.so.1", "/s/l.so.1", 0o755),
        Copy("nvidia-cdi-hook", "/s/nvidia-cdi-hook", 0o755),
        Copy("nvidia-ctk.real", "/s/nvidia-ctk", 0o700),
        Link("nvidia-container-toolkit", "nvidia-container-runtime-hook"),
        Package("python/toolkit", "/lib/toolkit"),
    ]
    assert [(part.name, part.mode) for part in parts if isinstance(part, Text)] == [
        ("nvidia-ctk", 0o711), ("nvidia-container-runtime-hook.real", 0o755), ("nvidia-container-runtime-hook", 0o755)]


def test_config_toml_names_what_is_in_the_folder():
    before = table_of(Config())
    settings = Settings("/run/nvidia/driver", "@/run/nvidia/driver/sbin/ldconfig", ("crun",), features=("new",),
                        chosen=(("nvidia-container-runtime.mode", "cdi"),))
    after = install.config_of(before, FOLDER, settings)
    assert after["nvidia-container-cli"]["path"] == f"{FOLDER}/nvidia-container-cli"
    assert after["nvidia-container-runtime"]["runtimes"] == ["crun"]
    assert after["nvidia-container-runtime"]["mode"] == "cdi"
    assert after["nvidia-container-runtime-hook"] == {"path": f"{FOLDER}/nvidia-container-runtime-hook",
                                                      "skip-mode-detection": True}
    assert after["features"] == {"new": True}
    assert before == table_of(Config())


@pytest.mark.parametrize(("name", "names"), [
    ("gpu", ["gpu", "nvidia-cdi", "nvidia-legacy"]),
    ("nvidia-cdi", ["nvidia", "nvidia-cdi", "nvidia-legacy"]),
])
def test_the_runtime_of_the_name_that_was_asked_for_is_the_default(name, names):
    found = install_engine.runtimes_of(FOLDER, name, default=True, cdi=False)
    assert [wanted.name for wanted in found] == names
    assert [wanted.name for wanted in found if wanted.default] == [name]
    assert found[1].path == f"{FOLDER}/nvidia-container-runtime.cdi"


@pytest.mark.parametrize(("engine", "config", "found"), [
    ("docker", {"default-runtime": "x", "runtimes": {"x": {"path": "/x"}, "crun": {"path": "/crun"}}}, ("/x", "/crun")),
    ("docker", {"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/n"}}}, ()),
    ("crio", {"crio": {"runtime": {"runtimes": {"runc": {"runtime_path": "/r"}, "crun": {"runtime_path": "/r"}}}}},
     ("/r",)),
    ("docker", {"runtimes": {"runc": {"path": 5}, "crun": 5}}, ()),
])
def test_the_low_level_runtimes_are_those_of_the_engine(engine, config, found):
    assert install_engine.low_level_of(engine, config) == found


def test_an_empty_legacy_configuration_gets_a_table_for_the_default_runtime():
    layout = layout_of({}, empty=1)
    wanted = install_engine.runtimes_of(FOLDER, "nvidia", default=True, cdi=False)
    changes, notes = install_engine.containerd_changes({}, layout, wanted, Containerd(legacy=True))
    section = changed({}, changes)["plugins"]["cri"]["containerd"]
    assert section["default_runtime"]["options"]["Runtime"] == f"{FOLDER}/nvidia-container-runtime"
    assert "default_runtime_name" not in section
    assert notes == ("Could not infer options from runtimes [runc crun]",)


def test_annotations_come_before_those_of_the_model():
    config = {"version": 3, "plugins": {"io.containerd.cri.v1.runtime": {"containerd": {"runtimes": {"runc": {
        "runtime_type": "t", "container_annotations": ["a/*"]}}}}}}
    wanted = install_engine.runtimes_of(FOLDER, "nvidia", default=False, cdi=False)
    changes, _ = install_engine.containerd_changes(config, layout_of(config), wanted, Containerd(annotations=("n/*",)))
    assert [change.value["container_annotations"] for change in changes] == [["n/*", "a/*"]] * 3


def test_a_disabled_cri_plugin_is_not_passed_over_in_silence():
    config = {"disabled_plugins": ["cri"]}  # docker's containerd: toolkit#1430
    wanted = install_engine.runtimes_of(FOLDER, "nvidia", default=False, cdi=False)
    _, notes = install_engine.containerd_changes(config, layout_of(config), wanted, Containerd())
    assert sum("disabled_plugins" in note for note in notes) == 1

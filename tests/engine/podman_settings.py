"""Podman as the tests use it: in folders of their own, without network, and with control groups that are removed."""

from pathlib import Path

CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
lock_type = "file"
events_logger = "file"
runtime = "runc"
"""
STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/graph"\nrunroot = "{0}/runroot"\n'


def settings(folder: Path) -> dict[str, str]:
    """Writes the settings into a folder; the variables that make podman read them."""
    (folder / "containers.conf").write_text(CONF)
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    return {"CONTAINERS_CONF": f"{folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf"}

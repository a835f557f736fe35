"""containerd's own view of a configuration file and of those that it imports."""

import subprocess
import tomllib

OLD, RUNTIME, IMAGES = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"


def dumped(config):
    command = ["containerd", "-c", str(config), "config", "dump"]
    return tomllib.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def in_cri(document):
    """The section of the CRI plug-in, whose name containerd 2 changes."""
    return document["plugins"].get(RUNTIME) or document["plugins"][OLD]


def pause_image(document):
    plugins = document["plugins"]
    return plugins[IMAGES]["pinned_images"]["sandbox"] if IMAGES in plugins else plugins[OLD]["sandbox_image"]

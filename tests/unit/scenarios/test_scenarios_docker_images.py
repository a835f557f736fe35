"""scenarios/engines/docker_images.py: a loaded image goes into the data folders of later daemons."""

import hashlib
import json
import os
from pathlib import Path

from scenarios.archive import Archive
from scenarios.engines import docker_images

LAYER = hashlib.sha256(b"layer").hexdigest()


def archive(tmp_path: Path, name: str) -> Archive:
    return Archive(path=str(tmp_path / f"{name}.tar"), name=f"localhost/nvsim/{name}:latest",
                   id=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}")


def loaded(data: Path, image: Archive) -> None:
    """What dockerd 20.10 to 28 with overlay2 has of an image that it loaded."""
    described = data / "image/overlay2/imagedb/content/sha256" / image.id.partition(":")[2]
    chain, folder = data / "image/overlay2/layerdb/sha256" / LAYER, data / "overlay2" / f"c-{image.id[7:12]}"
    for path in (described.parent, chain, folder / "diff/etc", data / "overlay2/l"):
        path.mkdir(parents=True, exist_ok=True)
    described.write_text(json.dumps({"rootfs": {"type": "layers", "diff_ids": [f"sha256:{LAYER}"]}}))
    (chain / "cache-id").write_text(folder.name)
    (chain / "size").write_text("4")
    (folder / "link").write_text("SHORT")
    (folder / "diff/etc/os-release").write_text("ID=debian\n")
    os.symlink(f"../{folder.name}/diff", data / "overlay2/l/SHORT")


def test_a_later_daemon_finds_the_image_by_name_with_the_files_shared(tmp_path: Path) -> None:
    store, first, later = str(tmp_path / "store"), tmp_path / "first", tmp_path / "later"
    image, other = archive(tmp_path, "debian"), archive(tmp_path, "other")
    assert docker_images.lay(store, str(first), [image]) == set() and not first.exists()
    loaded(first, image)
    docker_images.keep(store, str(first), image)
    docker_images.keep(store, str(first), image)
    assert (first / "overlay2/l/SHORT/etc/os-release").read_text() == "ID=debian\n"  # of the daemon that loaded it, too
    assert docker_images.lay(store, str(later), [image, other, image]) == {image.name}
    assert (later / "overlay2/l/SHORT/etc/os-release").samefile(first / "overlay2/l/SHORT/etc/os-release")
    names = json.loads((later / "image/overlay2/repositories.json").read_text())["Repositories"]
    assert names == {"localhost/nvsim/debian": {image.name: image.id}}
    assert (later / "image/overlay2/layerdb/sha256" / LAYER / "size").read_text() == "4"


def test_an_image_that_a_daemon_keeps_elsewhere_is_loaded_by_each(tmp_path: Path) -> None:
    image = archive(tmp_path, "debian")
    (tmp_path / "data/containerd").mkdir(parents=True)
    docker_images.keep(str(tmp_path / "store"), str(tmp_path / "data"), image)
    assert docker_images.lay(str(tmp_path / "store"), str(tmp_path / "later"), [image]) == set()
    assert not (tmp_path / "later").exists()

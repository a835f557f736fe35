"""Images that one daemon has loaded and the next one finds."""

import json
import os
from pathlib import Path

from scenarios.archive import Archive
from scenarios.engines import docker_images

IMAGE = Archive(path="/images/debian.tar", name="nvsim/debian:1", id="sha256:aa")
LAYER, LINK = "overlay2/c0ffee", "LINKNAME"


def loaded(data: Path) -> None:
    """A data folder as dockerd leaves it after loading IMAGE: an image, its layer, the layer's files."""
    layer = data / docker_images.STORE / "layerdb/sha256/bb"
    described = data / docker_images.STORE / "imagedb/content/sha256/aa"
    for folder in (layer, described.parent, data / LAYER / "diff"):
        folder.mkdir(parents=True)
    described.write_text(json.dumps({"rootfs": {"diff_ids": ["sha256:bb"]}}))
    (layer / "cache-id").write_text("c0ffee")
    (data / LAYER / "link").write_text(LINK)
    (data / LAYER / "diff/hello").write_text("from the image")


def test_a_later_daemon_has_an_image_once_however_many_steps_use_it(tmp_path: Path) -> None:
    store, first, second = (tmp_path / name for name in ("store", "first", "second"))
    store.mkdir()
    loaded(first)
    docker_images.keep(str(store), str(first), IMAGE)
    assert docker_images.lay(str(store), str(second), [IMAGE, IMAGE]) == {IMAGE.name}
    assert (second / LAYER / "diff/hello").read_text() == "from the image"
    assert os.readlink(second / "overlay2/l" / LINK) == "../c0ffee/diff"
    assert json.loads((second / docker_images.NAMES).read_text()) == {
        "Repositories": {"nvsim/debian": {IMAGE.name: IMAGE.id}}}


def test_an_image_that_no_daemon_loaded_is_not_there(tmp_path: Path) -> None:
    assert docker_images.lay(str(tmp_path / "store"), str(tmp_path / "data"), [IMAGE]) == set()
    assert not (tmp_path / "data").exists()

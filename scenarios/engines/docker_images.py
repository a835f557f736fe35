"""Images that a daemon of this run has loaded, for the daemons of later cases: a part of dockerd's data folder.

The file system of an image is shared: it lies in the run's folder, and each data folder has a link to it in the place
of `diff`.  Daemons mount it as a lower layer, which nothing writes to; one that removes the image removes the link.

Fact: moby's layout of the data folder with the driver overlay2, in image/fs_store.go, layer/filestore.go and
daemon/graphdriver/overlay2.  A daemon that keeps images elsewhere, as with containerd's store, loads each anew.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from scenarios.archive import Archive

STORE = "image/overlay2"  # below the data folder
NAMES = f"{STORE}/repositories.json"


_KEEPING = threading.Lock()


def lay(store: str, data: str, images: Iterable[Archive]) -> set[str]:
    """Writes into a data folder, which no daemon uses yet, those of the images that `store` has; their names."""
    names: dict[str, dict[str, str]] = {}
    laid: set[str] = set()
    for image in images:
        if os.path.isdir(_place(store, image)):
            if image.id not in laid:
                shutil.copytree(f"{_place(store, image)}/data", data, symlinks=True, dirs_exist_ok=True)
            laid.add(image.id)
            names[image.name.rpartition(":")[0]] = {image.name: image.id}
    if names:
        Path(f"{data}/{NAMES}").write_text(json.dumps({"Repositories": names}), encoding="utf-8")
    return {image for tags in names.values() for image in tags}


def keep(store: str, data: str, image: Archive) -> None:
    """Keeps an image that the daemon of this data folder has just loaded, unless `store` has it; no container may use
    it yet."""
    place = _place(store, image)
    with _KEEPING:
        if not os.path.isdir(place):
            shutil.rmtree(f"{place}.new", ignore_errors=True)
            if _copied(Path(data), image, f"{place}.new", place):
                os.rename(f"{place}.new", place)


def _place(store: str, image: Archive) -> str:
    return f"{store}/{image.id.rpartition(':')[2]}"


def _copied(data: Path, image: Archive, fresh: str, place: str) -> bool:
    """Copies the facts about an image below FRESH/data and moves its file system to FRESH/diff, where PLACE/diff will
    be; whether they were where they are expected."""
    described = data / STORE / "imagedb/content/sha256" / image.id.rpartition(":")[2]
    try:
        layer = json.loads(described.read_text())["rootfs"]["diff_ids"][0].rpartition(":")[2]
        chain = data / STORE / "layerdb/sha256" / layer  # of the first layer, and no other is there: scenarios.archive
        folder = data / "overlay2" / (chain / "cache-id").read_text()
        link = (folder / "link").read_text()
    except (OSError, ValueError, KeyError, IndexError):
        return False
    copy = Path(fresh) / "data"
    for source in (described, *chain.iterdir(), folder / "link"):
        target = copy / source.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    os.makedirs(copy / "overlay2/l")
    os.symlink(f"../{folder.name}/diff", copy / "overlay2/l" / link)
    os.symlink(f"{place}/diff", copy / "overlay2" / folder.name / "diff")
    os.rename(folder / "diff", f"{fresh}/diff")
    os.symlink(f"{place}/diff", folder / "diff")
    return True

"""DVC's cache: whether objects are what their names say."""

import hashlib

from lockstep.kernel.log import heartbeat
from lockstep.repository.cache import corrupt_objects


def test_corrupt_objects_are_found_and_all_are_counted(tmp_path):
    paths = []
    for content in (b"one", b"two", b"three"):
        name = hashlib.md5(content, usedforsecurity=False).hexdigest()
        paths.append(tmp_path / name[:2] / name[2:])
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(content)
    paths[1].write_bytes(b"another")
    with heartbeat("hashing") as progress:
        assert corrupt_objects(tmp_path) == [paths[1]]
    assert str(progress).startswith("3 of 3 files, ")

"""Which modules of a folder of code changed, where dvc.lock has one hash for the folder.

The listing behind that hash is kept nowhere, but code is in git: the folder is hashed as it is in the workspace and as
it was in the commits whose dvc.lock has the hash, until one of them gives that hash. So what is told is exact; where
code was run that was never committed, nothing is.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, md5_of, md5_of_bytes
from lockstep.repository import git
from lockstep.repository.code_records import used_code
from lockstep.repository.dvc import Repository
from lockstep.repository.hashes import listing_md5

Listing = dict[str, str]
"""The MD5 of each file, by its path in the folder."""


class CodeHistory:
    """The folders of code, and records of own code, that a repository has, or had; each is looked up once."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._found: dict[tuple[str, str], Listing | None] = {}
        self._used: dict[tuple[str, str], Mapping[str, str | None] | None] = {}
        self._md5s: dict[str, str] = {}  # of git's blobs

    def changed_modules(self, before: LockedFile, after: LockedFile) -> list[str] | None:
        """Find the modules, by path in the folder, in which two recorded hashes of it differ; None where git knows no
        folder with one of the hashes."""
        old, new = self._listing(before), self._listing(after)
        if old is None or new is None:
            return None
        return sorted(path for path in old | new if old.get(path) != new.get(path))

    def listing(self, folder: LockedFile) -> Listing | None:
        """The MD5s of the files of a recorded folder, by their paths from the root; None where git does not know it."""
        found = self._listing(folder)
        return None if found is None else {f"{folder.path}/{path}": md5 for path, md5 in found.items()}

    def used_code(self, record: LockedFile) -> Mapping[str, str | None] | None:
        """The MD5s of the files that a record of the user's own code lists, by their paths; None where nobody knows."""
        key = record.path, str(record.md5)
        if key not in self._used:
            self._used[key] = used_code(self._repo, record)
        return self._used[key]

    def committed_md5(self, folder: str, commit: str) -> str:
        """The hash that dvc.lock would record of a folder of code as it is in a commit."""
        return listing_md5(self._committed(folder, commit))

    def _listing(self, folder: LockedFile) -> Listing | None:
        key = folder.path, str(folder.md5)
        if key not in self._found:
            listings = self._candidates(*key)
            self._found[key] = next((found for found in listings if listing_md5(found) == folder.md5), None)
        return self._found[key]

    def _candidates(self, folder: str, md5: str) -> Iterator[Listing]:
        place = self._repo.root / folder
        yield {file.relative_to(place).as_posix(): md5_of(file) for file in self._repo.files_in(place)}
        recorded = git.run("log", "--all", f"-S{md5}", "--format=%H", "--", str(LOCK_FILE), root=self._repo.root)
        for commit in dict.fromkeys(["HEAD", *recorded.stdout.split()]):
            yield self._committed(folder, commit)

    def _committed(self, folder: str, commit: str) -> Listing:
        root, top = self._repo.root, self._repo.git_root
        place = (root / folder).relative_to(top)
        listed = git.run("ls-tree", "-r", "-z", commit, "--", place.as_posix(), root=top).stdout
        blobs = {}
        for entry in filter(None, listed.split("\0")):
            attributes, path = entry.split("\t", 1)
            file = Path(path).relative_to(place).as_posix()
            if not self._repo.is_ignored(f"{folder}/{file}"):
                blobs[file] = attributes.split()[2]
        self._hash(sorted(set(blobs.values()) - self._md5s.keys()))
        return {file: self._md5s[blob] for file, blob in blobs.items()}

    def _hash(self, blobs: list[str]) -> None:
        """Hash what git keeps under these names."""
        for blob, data in git.contents(blobs, self._repo.root).items():
            self._md5s[blob] = md5_of_bytes(data)

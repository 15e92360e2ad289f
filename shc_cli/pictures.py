"""Band pictures beside crystals: found by file stem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".svg", ".pdf"})
_NAMED = 3


class Pictures:
    """The pictures of a folder, and how many of them belong to crystals that were predicted.

    Args:
        folder: The folder; subfolders and hidden files are left out.

    Raises:
        ShcError: There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder."""
        if not folder.is_dir():
            raise ShcError(
                f"--bands {folder}: there is no such folder", "give a folder of pictures, or none", ExitCode.USAGE
            )
        self.folder = folder
        self.names = sorted(
            path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        self._unmatched = {name.rpartition(".")[0] for name in self.names}
        self._n_stems = len(self._unmatched)

    def match(self, material_ids: Iterable[str]) -> None:
        """Note crystals that were predicted."""
        self._unmatched.difference_update(material_ids)

    def report(self) -> str:
        """One line that says what became of the pictures."""
        if not self.names:
            return f"{self.folder} holds no pictures"
        first = ", ".join(self.names[:_NAMED]) + (", ..." if len(self.names) > _NAMED else "")
        return (
            f"{len(self.names)} pictures in {self.folder} are not used, for this model sees the structure only; "
            f"{self._n_stems - len(self._unmatched)} match a crystal by file stem ({first})"
        )

"""What a prediction may rest on."""

from __future__ import annotations

from typing import Final

STRUCTURE: Final = "structure"
CURVES: Final = "curves"
PICTURE: Final = "picture"
SUBSETS: Final = (STRUCTURE, f"{STRUCTURE}+{CURVES}", f"{STRUCTURE}+{PICTURE}", f"{STRUCTURE}+{CURVES}+{PICTURE}")
"""What a prediction may rest on, by 1 for curves plus 2 for a picture."""

"""The core on loopback for the tests of cards."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path(__file__).parents[:2]]
from core_world import client, core_url, new_resident, resident, secrets_of, settings, world  # noqa: F401

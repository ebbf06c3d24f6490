"""The core on a loopback port for the tests of the person index."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from core_world import client, core_url, new_resident, resident, secrets_of, settings, world  # noqa: F401

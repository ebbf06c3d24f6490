"""The core on loopback for the tests of the fronts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from core_world import client, core_url, new_resident, resident, secrets_of, settings, world  # noqa: F401
from fhir_world import domains, health_settings, health_url, his, his2  # noqa: F401

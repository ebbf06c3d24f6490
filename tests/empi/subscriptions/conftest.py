"""Subscribers and their receiver."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from news_world import index, keystore, module_index, receiver  # noqa: F401

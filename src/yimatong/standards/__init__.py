"""National standards as pure functions and tables: GB 11643, 11714, 32100, 2260, 2261, 3304, WS 364."""

"""Symbols (二维码码制) behind one port, and their drawing as SVG, PNG and printed labels."""

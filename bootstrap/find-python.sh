#!/bin/sh
# Runs the arguments with a Python of 3.11 or newer: python3 when it is new enough, otherwise a newer one on the PATH.
found=""
for name in ${YMT_PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        exec "$path" "$@"
    fi
    if [ -z "$found" ]; then
        found="$path $("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
    fi
done
if [ -n "$found" ]; then
    echo "错误：需要 Python 3.11 或更高版本，这台机器上只有 $found。 / Python 3.11 or newer is needed; this machine has $found." >&2
else
    echo "错误：需要 Python 3.11 或更高版本，PATH 上没有找到 Python。 / Python 3.11 or newer is needed; there is none on the PATH." >&2
fi
exit 1

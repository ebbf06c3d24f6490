#!/bin/sh
# Chromium and Chinese fonts for the browser tests. Installed where that is allowed (root on Debian); elsewhere the
# browser tests skip themselves and say so.
have_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
have_fonts() { command -v fc-list && fc-list :lang=zh 2>/dev/null | grep -q .; }
wanted=""
have_browser >/dev/null 2>&1 || wanted="chromium"
have_fonts >/dev/null 2>&1 || wanted="$wanted fontconfig fonts-noto-cjk"
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "  ⏳ 安装浏览器测试所需 / installing$(printf ' %s' $wanted) …"
    export DEBIAN_FRONTEND=noninteractive
    log=.venv/browser.log
    # shellcheck disable=SC2086 -- a list of packages
    if { apt-get update && apt-get install -y --no-install-recommends $wanted; } >"$log" 2>&1 </dev/null; then
        exit 0
    fi
    echo "  ✘ 未能安装，浏览器测试将跳过；详情见 $log / not installed, browser tests will be skipped; see $log"
else
    echo "  缺少$(printf ' %s' $wanted)，浏览器测试将跳过 / missing, browser tests will be skipped"
fi
exit 0

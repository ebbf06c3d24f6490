"""What every page shares: texts in both languages, masking in templates, files, errors, headers."""

from __future__ import annotations

import re
import string

import pytest
from jinja2 import UndefinedError

from yimatong.kit.masking import PersonName
from yimatong.kit.pages import Pages, Texts, masked_code, money
from yimatong.web.routes import make_pages

PAGES = make_pages()


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_has_both_languages_and_the_same_facts():
    for key, (chinese, english) in PAGES.texts.items().items():
        assert chinese, key
        assert english, key
        assert _fields(chinese) == _fields(english), key


def test_templates_ask_for_texts_that_exist():
    asked = set()
    for name in PAGES.template_names():
        asked |= set(re.findall(r"\bt\('([^']+)'[,)]", PAGES.source(name)))
    assert len(asked) > 100
    assert asked <= PAGES.texts.keys()


@pytest.mark.parametrize("name", PAGES.template_names())
def test_templates_fit_the_content_policy(name):
    source = PAGES.source(name)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|javascript:|\|safe\b", source)
    assert "http://" not in source.replace("http://www.w3.org/", "")
    assert "https://" not in source


def test_personal_data_masks_itself_and_everything_is_escaped(tmp_path):
    (tmp_path / "a.html").write_text("{{ name }} {{ text }} {{ nothing }}|{{ nothing is none }}")
    (tmp_path / "b.html").write_text("{{ unknown }}")
    pages = Pages({"x": tmp_path}, Texts([]))
    shown = pages.render("x/a.html", "zh", name=PersonName("张三丰"), text="<b>&'\"", nothing=None)
    assert shown == "张*丰 &lt;b&gt;&amp;&#39;&#34; |True"
    with pytest.raises(UndefinedError):
        pages.render("x/b.html", "zh")


def test_a_text_has_one_home(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text('{"k": ["一", "one"]}')
    with pytest.raises(ValueError, match="two homes"):
        Texts([tmp_path / "a.json", tmp_path / "b.json"])


def test_money_and_codes_as_people_read_them():
    assert money(1_234_567) == "¥ 12,345.67"
    assert money(-270) == "-¥ 2.70"
    assert masked_code("A" * 32 + "B" * 32) == "AAAA…BBBB"
    assert masked_code("short") == "short"


def test_files_are_kept_for_a_year_and_packed(visitor):
    page = visitor.get("/console/login").text
    address = re.search(r'href="(/static/app\.css\?v=[0-9a-f]{12})"', page)[1]
    answer = visitor.get(address)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert visitor.get(address, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert visitor.get(address, headers={"accept-encoding": "identity"}).text == answer.text


@pytest.mark.parametrize(
    "path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static/vendor", "/static//etc/passwd", "/static/x.css"]
)
def test_only_known_files_are_served(visitor, path):
    assert visitor.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "KIT-1002"), ("DELETE", "/console/login", 405, "KIT-1003")],
)
def test_errors_are_pages_with_code_and_request_id(visitor, method, path, status, code):
    answer = visitor.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert code in answer.text
    assert answer.headers["ymt-request-id"] in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_large_form_is_refused(visitor):
    visitor.look("/console/login")
    answer = visitor.submit("/console/login", login="x" * 100_000, password="y")
    assert answer.status_code == 413
    assert "KIT-1004" in answer.text


def test_lost_database_is_a_page(visitor, stage, serve):
    import msgspec

    from yimatong.apps import web

    away = msgspec.structs.replace(stage.settings, database_url="postgresql://nobody@127.0.0.1:9/none")
    address = serve(lambda: web.build(away))
    visitor.look("/console/login")
    visitor.cookies.set("ymt_console", "x")
    answer = visitor.get(f"{address}/console", headers={"cookie": "ymt_console=x"})
    assert answer.status_code == 503
    assert "KIT-5001" in answer.text
    assert "没有产生任何变更" in answer.text

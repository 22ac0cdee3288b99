"""The site builds without a warning, and nothing in it leads nowhere or elsewhere."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from sphinx.util.inventory import InventoryFile

import specviz as sv
from tests.docs.pages import README, ROOT, anchors, links


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", target / "doctrees", ROOT / "docs"]
    done = subprocess.run([*command, target / "html"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return target / "html"


@pytest.fixture(scope="module")
def html(site):
    """Every page of the site, parsed."""
    return {path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in site.rglob("*.html")}


def test_every_link_and_anchor_is_there(html):
    ids = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in html.items()}
    broken = []
    for path, page in html.items():
        for tag in page.find_all(href=True) + page.find_all(src=True):
            link = urlsplit(tag.get("href") or tag["src"])
            if link.scheme or link.netloc:
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            if not target.is_file() or (link.fragment and unquote(link.fragment) not in ids.get(target, {""})):
                broken.append(f"{path.name}: {link.geturl()}")
    assert not broken, "\n".join(broken)


def test_no_page_fetches_anything_from_elsewhere(site, html):
    fetched = [
        address
        for page in html.values()
        for tag in page.find_all(["script", "link", "img", "source", "iframe", "video"])
        if tag.get("rel") not in (["canonical"], ["search"], ["next"], ["prev"], ["index"])
        for address in (tag.get("src"), tag.get("href"), tag.get("srcset"))
        if address
    ]
    assert fetched and not [one for one in fetched if one.startswith(("http:", "https:", "//"))]
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text("utf-8") and "url(//" not in style.read_text("utf-8")


def test_everything_public_is_described(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    described = {name for kind in ("py:function", "py:class", "py:exception") for name in inventory.data[kind]}
    assert {f"specviz.{name}" for name in sv.__all__} <= described


def test_the_glossary_and_the_command_line_are_read_from_the_code(html):
    text = {path.stem: page.get_text() for path, page in html.items()}
    assert all(field in text["glossary"] for field in sv.Stats.__struct_fields__)
    assert "specviz models download" in text["command-line"] and "--num-draft-tokens" in text["command-line"]


def test_the_links_of_the_readme():
    for link in map(urlsplit, links(README)):
        if link.scheme:
            continue
        target = README.parent / link.path if link.path else README
        assert target.exists(), link.path
        assert not link.fragment or link.fragment in anchors(target), link.geturl()


def test_the_picture_of_the_house_is_what_its_script_draws():
    spec = importlib.util.spec_from_file_location("house", ROOT / "scripts" / "house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    assert house.TARGET.read_text("utf-8") == house.draw()


def test_the_spelling():
    done = subprocess.run(
        [Path(sys.executable).with_name("codespell")], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout

"""What the README and its pages show and lead to: rendered tables, pictures and links."""

import json
import re
import subprocess

import pytest

from conftest import REPOSITORY
from pages import LINK, PAGES, README, REFERENCE
from reslab.bench.report import insert_benchmarks
from reslab.config import list_options
from reslab.tables.render import markdown

# Tables whose results are on a page about them.
OWN_PAGE = {"liu_goh_readings": "readings.md", "speed_cpu": "speed-recipe.md"}
TEXTS = {page: page.read_text() for page in PAGES}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_the_readme_is_a_front_door():
    assert len(TEXTS[README].splitlines()) <= 200
    assert set(PAGES) == {README, *REPOSITORY.glob("docs/*.md")}  # each page is a link of its
    assert len(re.findall(r"!\[", TEXTS[README])) == 3


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@each_page
def test_links_and_pictures_lead_somewhere(page):
    targets = LINK.findall(TEXTS[page])
    assert targets
    for target in targets:
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(REPOSITORY), target
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


def tables(page):
    return re.findall(r"<!-- table (\S+) -->\n(.*?)<!-- end -->", TEXTS[page], re.DOTALL)


@each_page
def test_tables_are_the_rendered_ones(page):
    for path, table in tables(page):
        assert table == (page.parent / path).read_text()
        content = json.loads((page.parent / path).with_suffix(".json").read_text())
        assert markdown(content) == table
        for row in content["rows"]:
            shown = "missing"
            if row["n"]:
                shown = f"{row['accuracy']:.2f}"
            if row["n"] > 1:
                shown += f" ± {row['std']:.2f}"
            assert f"| {row['model']} | {shown} |" in table


def test_all_that_is_rendered_is_on_a_page_of_results():
    pages = [REPOSITORY / "docs" / name for name in ("results.md", *OWN_PAGE.values())]
    shown = {(page.parent / path).resolve() for page in pages for path, _ in tables(page)}
    assert shown == set(REFERENCE.glob("*/*/table.md"))
    assert len(shown) == 9
    assert len(tables(README)) == 1


def test_the_claims_are_those_of_all_that_is_rendered():
    page = REPOSITORY / "docs/claims.md"
    places = re.findall(r"<!-- (\w+) (\S+) -->\n(.*?)<!-- end -->", TEXTS[page], re.DOTALL)
    for name, path, text in places:
        assert text == (page.parent / path).read_text()
        assert (page.parent / path).name == f"{name}.md"
    shown = {(page.parent / path).resolve() for name, path, _ in places if name == "claims"}
    assert shown == {table.with_name("claims.md") for table in REFERENCE.glob("*/*/table.md")}


def test_the_benchmarks_are_those_of_the_records(tmp_path):
    page = REPOSITORY / "docs/speed.md"
    copy = tmp_path / page.name
    copy.write_text(
        re.sub(
            r"<!-- bench -->.*?<!-- end -->",
            "<!-- bench --><!-- end -->",
            TEXTS[page],
            flags=re.DOTALL,
        )
    )
    insert_benchmarks(copy, REFERENCE / "bench")
    assert copy.read_text() == TEXTS[page]


def test_make_readme_fills_every_place_that_is_rendered():
    """And no other: what it and the benchmarks insert into are the pages that have a place."""
    done = subprocess.run(
        ["make", "-n", "readme", "bench-gpu"], cwd=REPOSITORY, capture_output=True, text=True
    )
    filled = set(re.findall(r"--readme (\S+)", done.stdout))
    assert filled == {
        str(page.relative_to(REPOSITORY)) for page, text in TEXTS.items() if "<!-- end" in text
    }


def test_a_table_without_records_is_said_to_be_not_yet_run():
    said = dict(
        re.findall(
            r"^\| `(\w+)` \| .* \| (?:\[results\]\(([\w-]+\.md)(?:#[\w-]+)?\)|not yet run) \|$",
            TEXTS[REPOSITORY / "docs/tables.md"],
            re.MULTILINE,
        )
    )
    kept = {path.name for path in REFERENCE.iterdir() if list(path.glob("*/runs/*"))}
    assert said == {
        name: OWN_PAGE.get(name, "results.md") if name in kept else ""
        for name in list_options("table")
    }


def test_git_tracks_every_source_and_configuration():
    ignored = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "src", "conf", "tests"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert [name for name in ignored if not re.search(r"__pycache__|egg-info", name)] == []


def test_no_file_names_a_package_registry_or_a_path_of_a_machine():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    registry = re.compile("py" + r"pi\.org|python" + r"hosted|/simp" + "le/")
    for name in tracked:
        content = (REPOSITORY / name).read_bytes().decode(errors="ignore")
        assert not registry.search(content), name
        if name != ".ci/run":
            assert "../sha" + "red" not in content, name

"""What is put into a page, and where."""

from pathlib import Path

import pytest

from reslab.errors import UserError
from reslab.markdown import insert_files


@pytest.mark.parametrize(
    ("page", "place"),
    [("README.md", "outputs/a/table.md"), ("docs/results.md", "../outputs/a/table.md")],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_table_goes_where_a_page_names_it_as_a_link_would(page, place, absolute, in_empty_folder):
    for folder in ("docs", "outputs/a"):
        Path(folder).mkdir(parents=True)
    table = Path("outputs/a/table.md")
    table.write_text("new\n")
    other = "<!-- table outputs/b/table.md -->\nanother's\n<!-- end -->\n"
    Path(page).write_text(f"before\n<!-- table {place} -->\nold\n<!-- end -->\nafter\n{other}")
    insert_files(Path(page), table.parent.absolute() if absolute else table.parent)
    assert Path(page).read_text() == (
        f"before\n<!-- table {place} -->\nnew\n<!-- end -->\nafter\n{other}"
    )


def test_a_page_without_a_place_for_the_table_is_left_as_it_is(in_empty_folder):
    page, table = Path("docs/results.md"), Path("outputs/a/table.md")
    for path, text in ((page, "nothing"), (table, "new\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(UserError, match=r"docs/results\.md has no <!-- table \.\./outputs/a/tab"):
        insert_files(page, table.parent)
    assert page.read_text() == "nothing"


def test_a_page_gets_each_file_that_it_has_a_place_for_and_no_other(in_empty_folder):
    folder = Path("a")
    folder.mkdir()
    for name in ("table", "claims", "checklist"):
        (folder / f"{name}.md").write_text(f"of {name}\n")
    page = Path("page.md")
    page.write_text(
        "<!-- claims a/claims.md -->\nold\n<!-- end -->\n<!-- checklist b/checklist.md -->"
    )
    insert_files(page, folder)
    assert page.read_text() == (
        "<!-- claims a/claims.md -->\nof claims\n<!-- end -->\n<!-- checklist b/checklist.md -->"
    )

"""What is put into a page, and where."""

from pathlib import Path

import pytest

from reslab.errors import UserError
from reslab.markdown import insert_table


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
    insert_table(Path(page), table.absolute() if absolute else table)
    assert Path(page).read_text() == (
        f"before\n<!-- table {place} -->\nnew\n<!-- end -->\nafter\n{other}"
    )


def test_a_page_without_a_place_for_the_table_is_left_as_it_is(in_empty_folder):
    page, table = Path("docs/results.md"), Path("outputs/a/table.md")
    for path, text in ((page, "nothing"), (table, "new\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(UserError, match=r"docs/results\.md has no <!-- table \.\./outputs/a/tab"):
        insert_table(page, table)
    assert page.read_text() == "nothing"

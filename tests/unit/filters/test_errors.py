"""What a filter that cannot be used is told."""

from __future__ import annotations

import pytest

from s3d.filters.errors import FilterError
from s3d.filters.grammar import MAX_CLAUSES, MAX_CONDITIONS, MAX_GLOB_BYTES, MAX_TEXT_BYTES
from s3d.filters.parse import parse


def refused(text: str) -> FilterError:
    with pytest.raises(FilterError) as caught:
        parse(text)
    return caught.value


# Of each: the text with a mark before the place, and what is said.
@pytest.mark.parametrize(
    ("marked", "said"),
    [
        ("b/[→tga:x]", "no attribute is called tga; did you mean tag?"),
        ("b/[→TAG:x]", "no attribute is called TAG; did you mean tag?"),
        ("b/[→header:x]", "did you mean hdr?"),
        ("b/[→metadata:x]", "did you mean md?"),
        ("b/[→sise>1]", "did you mean size?"),
        ("b/[→project=x]", "expected tag, hdr, md, size, age, op or user; a tag is written tag:project"),
        ("b/[→]", "expected an attribute: tag, hdr, md, size, age, op or user"),
        ("b/[→!tag:x]", "[tag:NAME!=*]"),
        ("b/[tag→]", "expected : and a name, as in [tag:NAME]"),
        ("b/[tag:→]", "expected the name of a tag after tag:"),
        ("b/[hdr:→=x]", "expected the name of a header after hdr:"),
        ("b/[md:→x-amz-meta-a]", "md: means x-amz-meta- already"),
        ("b/[hdr:→a b]", "the name of a header has only"),
        ("b/[tag:a→*]", r"for the character itself write \*"),
        ("b/[size→:x]", "size has no name after a colon"),
        ("b[→size>1]", "write it after the slash, as in bucket/[size…]; a bucket has only tag:NAME"),
        ("b[→hdr:a]/x", "a bucket has only tag:NAME"),
        ("b/[tag:a=→]", "expected a value; '' is the empty one"),
        ("b/[tag:a→==x]", "equality is written with one ="),
        ("b/[tag:a→=<x]", "expected <="),
        ("b/[tag:a→!x]", "expected != here"),
        ("b/[tag:a<→x]", "< compares numbers, sizes, durations or dates; this is a text"),
        ("b/[tag:a<→x*]", "this is a text"),
        ("b/[tag:a>=→'10']", "quotes and escapes make it a text"),
        ("b/[size=→x]", "such as 4096, 64KiB or 10MB"),
        ("b/[size=→1d]", "a size is compared with a size"),
        ("b/[size=→1*]", "a size is compared with a size"),
        ("b/[age>→7]", "such as 30s, 15m, 12h, 7d or 2w: 7 of what?"),
        ("b/[age>→7MB]", "an age is compared with a duration"),
        ("b/[op=→GetObjct]", "no operation of S3 is called GetObjct; did you mean GetObject?"),
        ("b/[op=→getobject]", "did you mean GetObject?"),
        ("b/[op=→Grab*]", "no operation of S3 is called Grab*"),
        ("b/→[tag:a", "expected ] to close this condition"),
        ("b/→[tag:a=x\n]", "expected ] to close this condition"),
        ("b/[size →x]", "expected =, !=, <, <=, >, >= or ]"),
        ("b/[tag:a=x→[", "expected ] here"),
        ("b/[tag:a=→'x]", "expected the closing quote of the one here"),
        ("b/→'x\n'", "expected the closing quote of the one here"),
        ("b/x→]", r"for the character itself write \]"),
        ("b/x→#y", r"a comment begins after a blank; for the character itself write \#"),
        ("b/x →y", "expected a comma or a new line between two items"),
        ("b/[size]→x", "conditions end a clause"),
        ("b[tag:a]→x", "expected a slash and a key after the bucket's conditions"),
        ("→/x", "expected the name of a bucket before the slash; * is any bucket"),
        ("!→", "expected the name of a bucket; the filter ends here"),
        ("!→, b", "expected the name of a bucket"),
        ("!→!b", "one ! excludes"),
        ("!→@f", "cannot be excluded as a whole"),
        ("→[tag:a]", "expected the name of a bucket"),
        ("→s3://b/k", "it stands here without s3://"),
        ("→'a/b'", "the name of a bucket has no slash"),
        ("→@", "expected the path of a file after @"),
        ("@f→[size]", "a list in a file takes no conditions"),
        ("@f→*", r"write \*"),
        (r"b/→\q", r"no escape \q"),
        (r"b/→\x4", "two hexadecimal digits"),
        ("b/→\\", "expected a character after the \\"),
        ("a,\nb,\n  c/[→tga]", "did you mean tag?"),
    ],
)
def test_an_error_names_its_place_and_what_was_expected(marked: str, said: str) -> None:
    at = marked.index("→")
    error = refused(marked.replace("→", ""))
    assert said in error.message
    assert (error.line, error.column) == (marked.count("\n", 0, at) + 1, at - (marked.rfind("\n", 0, at) + 1) + 1)


def test_an_error_shows_the_line_with_carets_under_what_is_wrong() -> None:
    error = refused("a, # first\nlogs/*[tga:x], c")
    assert str(error).splitlines() == [
        "line 2, column 8: no attribute is called tga; did you mean tag?",
        "    logs/*[tga:x], c",
        "           ^^^",
    ]


def test_the_carets_stand_right_under_tabs_wide_characters_and_what_cannot_be_shown() -> None:
    *_, line, carets = str(refused("\t漢e\u0301/\x07[tga:x]")).splitlines()
    assert line == "     漢e\u0301/�[tga:x]"
    assert carets == "    " + " " * 7 + "^^^"


def test_of_a_long_line_the_part_around_the_error_is_shown() -> None:
    *_, line, carets = str(refused(f"{'a, ' * 200}b/[tga:x]{', c' * 200}")).splitlines()
    assert len(line) <= 4 + 102
    assert line[4] == line[-1] == "…"
    assert line[carets.index("^") :].startswith("tga:x]")


def test_an_error_in_a_file_names_the_file() -> None:
    with pytest.raises(FilterError) as caught:
        parse("b\n@other", "lists/hot", in_file=True)
    assert str(caught.value).startswith("lists/hot, line 2, column 1: a list in a file cannot read another file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n" * (MAX_TEXT_BYTES // 2 + 1), "at most 1,048,576 are read"),
        ("a\n" * (MAX_CLAUSES + 1), "more than 10,000 clauses"),
        ("a/" + "[size]" * (MAX_CONDITIONS + 1), "more than 32 conditions"),
        ("a" + "[tag:x]" * 16 + "/" + "[size]" * 17, "more than 32 conditions"),
        ("a/" + "x" * (MAX_GLOB_BYTES + 1), "at most 1,024 are compared"),
        ("a/" + "é?" * 400, "at most 1,024 are compared"),
    ],
)
def test_what_is_too_much_is_refused(text: str, said: str) -> None:
    assert said in refused(text).message


def test_as_much_as_is_allowed_is_taken() -> None:
    assert len(parse("a\n" * MAX_CLAUSES)) == MAX_CLAUSES
    assert len(parse("a/" + "x" * MAX_GLOB_BYTES + "[size]" * MAX_CONDITIONS)) == 1

"""`s3d filter check|bench`: what a filter says of an object and why, and how fast it says it. No daemon is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from s3d import values
from s3d.cli import address
from s3d.cli.console import ERROR, OK, USAGE, Failure, plural, print_json, visible

if TYPE_CHECKING:
    from s3d.filters.decide import Decision, Filter, Needs, Purpose, Subject
    from s3d.filters.errors import FilterError
    from s3d.filters.grammar import Clause, Condition
    from s3d.filters.source import Placed

SHOWN_CLAUSES = 20
"""A list of a thousand clauses is not explained one by one."""

HELP = """Try filters: what they say, and why.

\b
  s3d filter check 'logs/*, !logs/tmp/*'                    is it a filter?
  s3d filter check 'logs/*, !logs/tmp/*' logs/tmp/x         what does it say of this object?
  s3d filter check 'media/*[hdr:content-type=video/*]' media/a.mp4 --header content-type=video/mp4
  s3d filter check '*[tag:team=web]' site/index.html --bucket-tag team=web
  s3d filter bench @/etc/s3d/cached                         how fast is it?

The language stands in docs/filters.md. Quote filters: shells have their own use for most of its characters.
"""

FilterText = Annotated[str, typer.Argument(metavar="FILTER", help="The filter; @FILE reads a list from a file.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=True)
    group.command("check")(check)
    group.command("bench")(bench)
    app.add_typer(group, name="filter")


class Given(msgspec.Struct, frozen=True):
    """The object as the command line describes it. None, and no pairs, where it says nothing."""

    bucket: str
    key: str
    bucket_tags: dict[str, str]
    tags: dict[str, str]
    headers: dict[str, str]
    """Names in lower case, ``x-amz-meta-`` ones among them."""
    size_bytes: int | None
    age_s: float | None
    operation: str | None
    user: str | None
    now_ms: int

    def name(self, subject: Subject) -> None:
        """Make the subject this object, of which nothing else is known."""
        subject.refill(self.bucket, self.key, operation=self.operation, user=self.user, now_ms=self.now_ms)

    def set_metadata(self, subject: Subject) -> None:
        """Tell the subject all that is known of metadata."""
        subject.set_metadata(self.headers.items(), size_bytes=self.size_bytes, modified_ms=self.modified_ms)

    @property
    def modified_ms(self) -> int:
        """Without an age it is being written."""
        return self.now_ms - round((self.age_s or 0.0) * 1000)


def check(
    filter_text: FilterText,
    target: Annotated[str, typer.Argument(metavar="[BUCKET/KEY]", help="The object.", show_default=False)] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag of the object.")] = None,
    bucket_tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag of its bucket.")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A header of the object.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="User metadata, the header x-amz-meta-NAME.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Its size, such as 10MB.", show_default=False)] = "",
    age: Annotated[
        str, typer.Option(metavar="TIME", help="Since it was last modified, such as 7d.", show_default=False)
    ] = "",
    operation: Annotated[
        str, typer.Option("--op", metavar="NAME", help="What is done to it, such as PutObject.", show_default=False)
    ] = "",
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose access key asks.", show_default=False)] = "",
    purpose: Annotated[
        str,
        typer.Option(
            metavar="queue|cache", help="Honour the reserved tags of the write queue or the cache.", show_default=False
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell whether a filter includes an object, and which of its clauses decides.

    Without BUCKET/KEY the filter is only read: its clauses, and what they have to know. What no option describes is
    taken to be absent, and said so where the verdict depends on it.

    Exit codes: 0 included (or, without an object, a filter), 1 excluded, 2 not a filter, or wrong usage.
    """
    from s3d.filters.decide import Filter, FilterError, Subject

    chosen = _purpose(purpose)
    given = None
    if target:
        given = _given(target, tag, bucket_tag, header, metadata, size, age, operation, user)
    elif tag or bucket_tag or header or metadata or size or age or operation or user:
        raise Failure("The options describe an object: name it, as BUCKET/KEY.", USAGE)
    try:
        opened = Filter.open(filter_text, chosen)
    except FilterError as error:
        if as_json:
            print_json({"error": _plain_error(error)})
        raise Failure(f"This is not a filter: {error}", USAGE) from None
    if given is None:
        _describe(opened, as_json)
        return
    subject = Subject()
    decision, assumed = _decide(opened, subject, given)
    if as_json:
        print_json(_plain(opened, given, decision, assumed))
    else:
        for line in _explanation(opened, given, decision, assumed):
            print(line)
    raise typer.Exit(OK if decision.included else ERROR)


def bench(
    filter_text: FilterText,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="CPU time for each way of deciding.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure how fast a filter decides, beside the same rules in Python with `re` and with `fnmatch`.

    The objects are made from the filter's own clauses: for some of them, spread over the list, one that matches and
    one that just does not. All three ways must come to the same verdicts. Counted is CPU time; the evaluator is
    measured in its own loop, without what a call from Python adds (about 0.2 µs).

    Exit codes: 0 measured, 2 not a filter.
    """
    from s3d.cli import filter_bench
    from s3d.filters.decide import Filter, FilterError, Purpose

    try:
        opened = Filter.open(filter_text, Purpose.SYNC)
    except FilterError as error:
        raise Failure(f"This is not a filter: {error}", USAGE) from None
    found = filter_bench.measure([placed.clause for placed in opened.clauses], seconds)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    print(f"{plural(found.clauses, 'clause')}, {plural(found.objects, 'object')}, {found.included:.0%} included")
    for way in found.ways:
        slower = (
            "" if way is found.ways[0] else f"  {way.per_decision_ns / found.ways[0].per_decision_ns:,.0f} times slower"
        )
        print(f"  {way.name:9}  {way.per_second:>12,.0f}/s  {way.per_decision_ns / 1000:>10,.3f} µs{slower}")


# What the command line says.


def _purpose(name: str) -> Purpose:
    from s3d.filters.decide import Purpose

    known = {"": Purpose.SYNC, "queue": Purpose.QUEUE, "cache": Purpose.CACHE}
    if name not in known:
        raise Failure(f"--purpose {name!r} is neither queue nor cache.", USAGE)
    return known[name]


def _given(
    target: str, tag: list[str] | None, bucket_tag: list[str] | None, header: list[str] | None,
    metadata: list[str] | None, size: str, age: str, operation: str, user: str,
) -> Given:  # fmt: skip
    bucket, _, key = target.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise Failure(f"{visible(target)!r} names no object; write BUCKET/KEY.", USAGE)
    headers = {name.lower(): value for name, value in address.parse_pairs(header or [], "--header").items()}
    for name, value in address.parse_pairs(metadata or [], "--metadata").items():
        headers["x-amz-meta-" + name.lower().removeprefix("x-amz-meta-")] = value
    try:
        size_bytes = values.read_size(size, 0, 2**62) if size else None
    except ValueError as error:
        raise Failure(f"--size {size!r} is not valid; {error}.", USAGE) from None
    try:
        age_s = values.read_duration(age, 0, 1e10, never=False) if age else None
    except ValueError as error:
        raise Failure(f"--age {age!r} is not valid; {error}.", USAGE) from None
    if operation:
        from s3d.config import suggestion
        from s3d.s3.operations import load_operations

        known = [each.name for each in load_operations()]
        if operation not in known:
            hint = suggestion(operation, known)
            raise Failure(f"--op {operation!r} is not an operation of S3.{hint}", USAGE)
    return Given(
        bucket, key, address.parse_pairs(bucket_tag or [], "--bucket-tag"), address.parse_pairs(tag or [], "--tag"),
        headers, size_bytes, age_s, operation or None, user or None, time.time_ns() // 1_000_000,
    )  # fmt: skip


def _decide(opened: Filter, subject: Subject, given: Given) -> tuple[Decision, Needs]:
    """The decision, and what had to be taken for absent because nobody said."""
    from s3d.filters.decide import Needs

    given.name(subject)
    if given.bucket_tags:
        subject.set_bucket_tags(given.bucket_tags.items())
    if given.tags:
        subject.set_object_tags(given.tags.items())
    if given.headers or given.size_bytes is not None or given.age_s is not None:
        given.set_metadata(subject)
    assumed = Needs(0)
    while (decision := opened.decide(subject)).needs:
        assumed |= decision.needs
        if decision.needs & Needs.BUCKET_TAGS:
            subject.set_bucket_tags(())
        if decision.needs & Needs.OBJECT_TAGS:
            subject.set_object_tags(())
        if decision.needs & Needs.METADATA:
            given.set_metadata(subject)
    return decision, assumed


# What is said about it.


def _describe(opened: Filter, as_json: bool) -> None:
    from s3d.filters.show import show_item

    only_exclusions = all(placed.clause.exclude for placed in opened.clauses)
    needs = _need_words(opened.needs)
    if as_json:
        print_json(
            {
                "clauses": [_plain_clause(placed, number) for number, placed in enumerate(opened.clauses, 1)],
                "files": list(opened.files),
                "needs": needs,
                "default": "included" if only_exclusions else "excluded",
            }
        )
        return
    if not opened.clauses:
        print("An empty filter: every object is included.")
        return
    print(f"A filter of {plural(len(opened.clauses), 'clause')}; the last that matches decides.")
    for number, placed in enumerate(opened.clauses[:SHOWN_CLAUSES], 1):
        source = f"   ({visible(placed.source)})" if placed.source else ""
        verb = "exclude" if placed.clause.exclude else "include"
        print(f"  {number:>3}  {verb}  {show_item(placed.clause).removeprefix('!')}{source}")
    if len(opened.clauses) > SHOWN_CLAUSES:
        print(f"  and {len(opened.clauses) - SHOWN_CLAUSES:,} more")
    why = " (there are only exclusions, so the list starts from everything)" if only_exclusions else ""
    print(f"What none matches is {'included' if only_exclusions else 'excluded'}{why}.")
    print(f"It has to know {', '.join(needs)}." if needs else "It has to know nothing but names.")


def _explanation(opened: Filter, given: Given, decision: Decision, assumed: Needs) -> list[str]:
    """The verdict, who decided, the clauses after it and why they did not, and what was taken for granted."""
    verdict = "included" if decision.included else "excluded"
    extra = [word for word, so in (("pinned", decision.pinned), ("immutable", decision.immutable)) if so]
    lines = [f"{', '.join([verdict, *extra])}: {visible(f'{given.bucket}/{given.key}')}", ""]
    count = len(opened.clauses)
    if decision.by == "tag":
        name = "s3d.upload" if "s3d.upload" in given.tags and opened.purpose.name == "QUEUE" else "s3d.cache"
        lines.append(f"Its tag {name}={visible(given.tags[name])} decides, whatever the clauses say.")
        return lines
    if decision.clause is not None:
        placed = opened.clauses[decision.clause]
        where = f", {visible(placed.source)}" if placed.source else ""
        later = "" if decision.clause == count - 1 else ", the last that matches"
        lines += [
            f"Clause {decision.clause + 1} of {count} decides{later} ({_place(placed)}{where}):",
            *_excerpt(placed),
        ]
    elif not count:
        lines.append("An empty filter includes every object.")
    elif decision.included:
        lines.append("No clause matches, and a list of exclusions only starts from everything.")
    else:
        lines.append("No clause matches, and what none matches is excluded.")
    passed = list(enumerate(opened.clauses))[(decision.clause if decision.clause is not None else -1) + 1 :]
    if passed:
        heading = "The clauses after it do not match:" if decision.clause is not None else "Why none does:"
        lines += ["", heading]
        lines += _reasons([(number, placed.clause) for number, placed in reversed(passed)], given)
    lines += _assumptions(assumed)
    reserved = [name for name in ("s3d.upload", "s3d.cache") if name in given.tags]
    if reserved and opened.purpose.name == "SYNC":
        lines += ["", f"The tag {' and '.join(reserved)} counts with --purpose queue or cache only."]
    return lines


def _reasons(clauses: list[tuple[int, Clause]], given: Given) -> list[str]:
    from s3d.filters.show import show_item

    lines = []
    for index, clause in clauses[:SHOWN_CLAUSES]:
        lines.append(f"  {index + 1:>3}  {show_item(clause)}")
        lines.append(f"       {_why_not(clause, given)}")
    if len(clauses) > SHOWN_CLAUSES:
        lines.append(f"  and {len(clauses) - SHOWN_CLAUSES:,} more")
    return lines


def _why_not(clause: Clause, given: Given) -> str:
    """The first thing of a clause that does not match."""
    from s3d.filters.compile import compile_clauses
    from s3d.filters.decide import Subject
    from s3d.filters.grammar import EVERYTHING, Clause
    from s3d.filters.show import show_key

    def matches(part: Clause) -> bool:
        subject = Subject()
        given.name(subject)
        subject.set_bucket_tags(given.bucket_tags.items())
        subject.set_object_tags(given.tags.items())
        given.set_metadata(subject)
        return bool(compile_clauses([part]).decide(subject) & 1)

    if not matches(Clause(clause.bucket)):
        return f"the bucket is {visible(given.bucket)}"
    if not matches(Clause(clause.bucket, key=clause.key)):
        return f"{show_key(clause.key or ())} does not match the key {visible(given.key)}"
    for condition in clause.bucket_conditions:
        if not matches(Clause(EVERYTHING, (condition,))):
            return _unmet(condition, given, on_bucket=True)
    for condition in clause.key_conditions:
        if not matches(Clause(EVERYTHING, key=(), key_conditions=(condition,))):
            return _unmet(condition, given, on_bucket=False)
    return "it matches"  # not reached: one that matches has decided


def _unmet(condition: Condition, given: Given, *, on_bucket: bool) -> str:
    """What the attribute is, where the condition wants something else."""
    from s3d.filters.grammar import AGE, HEADER, METADATA, OPERATION, SIZE, TAG, USER
    from s3d.filters.show import show_condition
    from s3d.s3.dates import http_date

    name = condition.name.decode("utf-8", "replace")
    value: str | None = None
    if condition.attribute == TAG:
        value = (given.bucket_tags if on_bucket else given.tags).get(name)
        what = f"the {'bucket' if on_bucket else 'object'}'s tag {visible(name)}"
    elif condition.attribute == SIZE or (condition.attribute == HEADER and name == "content-length"):
        if given.size_bytes is None:
            return f"{show_condition(condition)}: its size is not known (--size)"
        value, what = f"{given.size_bytes:,} bytes", "its size"
    elif condition.attribute == AGE:
        value, what = values.format_duration(given.age_s or 0.0), "its age"
    elif condition.attribute == HEADER and name == "last-modified":
        value, what = http_date(given.modified_ms).decode(), "it was last modified"
    elif condition.attribute == HEADER:
        value, what = given.headers.get(name), f"the header {name}"
    elif condition.attribute == METADATA:
        value, what = given.headers.get(f"x-amz-meta-{name}"), f"the user metadata {name}"
    else:
        value = given.operation if condition.attribute == OPERATION else given.user
        what = {OPERATION: "the operation", USER: "the user"}[condition.attribute]
    if name == "last-modified" and condition.attribute == HEADER:
        return f"{show_condition(condition)}: {what} on {value}"
    state = "is absent" if value is None else f"is {visible(value)}" if value else "is empty"
    return f"{show_condition(condition)}: {what} {state}"


def _assumptions(assumed: Needs) -> list[str]:
    from s3d.filters.decide import Needs

    words = {
        Needs.BUCKET_TAGS: "the bucket has no tags (--bucket-tag)",
        Needs.OBJECT_TAGS: "the object has no tags (--tag)",
        Needs.METADATA: "it is new, has no known size and no headers (--age, --size, --header, --metadata)",
    }
    taken = [text for need, text in words.items() if need in assumed]
    return ["", f"Taken for granted, since nothing was said: {'; '.join(taken)}."] if taken else []


def _need_words(needs: Needs) -> list[str]:
    from s3d.filters.decide import Needs

    words = {Needs.BUCKET_TAGS: "bucket tags", Needs.OBJECT_TAGS: "object tags", Needs.METADATA: "metadata"}
    return [text for need, text in words.items() if need in needs]


def _place(placed: Placed) -> str:
    from s3d.filters.errors import position

    line, column = position(placed.text, placed.span.start)
    return f"line {line}, column {column}"


def _excerpt(placed: Placed) -> list[str]:
    from s3d.filters.errors import excerpt

    return excerpt(placed.text, placed.span, "  ").splitlines()


def _plain_clause(placed: Placed, number: int) -> dict[str, Any]:
    from s3d.filters.errors import position
    from s3d.filters.show import show_item

    line, column = position(placed.text, placed.span.start)
    return {
        "number": number, "text": show_item(placed.clause), "exclude": placed.clause.exclude,
        "source": placed.source or None, "line": line, "column": column,
    }  # fmt: skip


def _plain(opened: Filter, given: Given, decision: Decision, assumed: Needs) -> dict[str, Any]:
    return {
        "bucket": given.bucket,
        "key": visible(given.key),
        "included": decision.included,
        "by": decision.by,
        "clause": None
        if decision.clause is None
        else _plain_clause(opened.clauses[decision.clause], decision.clause + 1),
        "clauses": len(opened.clauses),
        "pinned": decision.pinned,
        "immutable": decision.immutable,
        "assumed_absent": _need_words(assumed),
    }


def _plain_error(error: FilterError) -> dict[str, Any]:
    return {
        "message": error.message, "source": error.source or None, "line": error.line or None,
        "column": error.column or None,
    }  # fmt: skip

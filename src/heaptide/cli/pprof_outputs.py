# SPDX-License-Identifier: Apache-2.0
"""The outputs of `heaptide pprof`, each from one profile to text or bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from heaptide._errors import NothingToShow, UsageError
from heaptide.analysis.column_walks import Detail
from heaptide.analysis.filters import ByName
from heaptide.analysis.graph import EVERYTHING, CallGraph, Style, Trim
from heaptide.analysis.importance import Order
from heaptide.analysis.inquiry import Answer, ByTag, Inquiry, answer
from heaptide.analysis.measures import is_memory, is_unit
from heaptide.analysis.tags import is_range
from heaptide.cli.guard import say
from heaptide.cli.pprof_flags import Request, compiled
from heaptide.cli.pprof_inputs import Source
from heaptide.render import pprof, units
from heaptide.render.pprof_names import printable

if TYPE_CHECKING:
    from heaptide.model.columns import Columns

_FILTERS = ("focus", "ignore", "hide", "show", "show_from", "tagfocus", "tagignore", "tagshow", "taghide")
_UNTRIMMED = ("peek", "list", "disasm", "weblist", "proto", "raw", "callgrind", "collapsed")
_BY_ADDRESS = ("disasm", "weblist", "proto", "raw", "callgrind")
_PICTURES = ("svg", "pdf", "ps", "gif", "png")
_MACHINE_CODE = ("disasm", "weblist")
_WITH_MODULES = ("callgrind", "list", "disasm", "weblist")


def render(request: Request, source: Source) -> bytes:
    """The answer to a request, as bytes."""
    found = answer_of(request, source)
    _tell(found)
    page = page_of(request, found.unit)
    if request.output in _PICTURES:
        return _picture(found, page, request, request.output)
    if request.output in _MACHINE_CODE:
        from heaptide.cli import pprof_code

        write_code = pprof_code.disasm if request.output == "disasm" else pprof_code.weblist
        return _encoded(write_code(found, page, request, source.symbolizer))
    return _OUTPUTS[request.output](found, page, request)


def _tell(found: Answer) -> None:
    """What a reader of the numbers has to know of how the options were understood."""
    for name in found.idle:
        say(f"warning: --{name} matched nothing")
    by_tag = found.inquiry.by_tag
    for name, wanted in (("tagfocus", by_tag.focus), ("tagignore", by_tag.ignore)):
        if wanted and is_range(wanted):
            say(f"--{name}={wanted} is a range of numbers, no pattern")
    for key, others in found.label_units.besides.items():
        say(f"warning: label {key} is read in {found.label_units.of[key]}; some have {', '.join(others)}")


def answer_of(request: Request, source: Source) -> Answer:
    """The profile that is asked about. UsageError for a value that it does not hold."""
    detail = request.by or "functions"
    if request.output in _BY_ADDRESS:
        detail = "addresses"
    elif request.output == "list":
        detail = "lines"
    inquiry = Inquiry(
        value=_value(request, source.columns),
        mean=request.on("mean"),
        detail=cast(Detail, detail),
        inlines=request.output != "disasm" and not request.on("noinlines"),
        columns=request.on("showcolumns"),
        by_name=ByName(*(request.pattern(name) for name in ("focus", "ignore", "hide", "show"))),
        by_tag=ByTag(
            request.settings.get("tagfocus", ""),
            request.settings.get("tagignore", ""),
            request.pattern("tagshow"),
            request.pattern("taghide"),
            request.words("tagroot"),
            request.words("tagleaf"),
        ),
        show_from=request.pattern("show_from"),
        prune_from=request.pattern("prune_from"),
        relative=request.on("relative_percentages"),
        with_modules=request.output in _WITH_MODULES,
    )
    unit = request.settings.get("unit", "minimum")
    return answer(
        source.columns,
        inquiry,
        lambda value, counted_in: units.pprof_value(value, counted_in, unit),
        is_difference=source.is_difference,
    )


def _value(request: Request, columns: Columns) -> str:
    """What is counted: ``--sample_index`` or a flag of its own; by default bytes in use where there are any."""
    asked = request.settings.get("sample_index") or request.value
    types = [kind.type for kind in columns.sample_types]
    inuse = asked.replace("alloc_", "inuse_")
    if asked.startswith("alloc_") and asked not in types and inuse.removeprefix("inuse_") in types:
        return inuse  # a text profile of a moment when nothing had been freed: what is in use is what was allocated
    return asked


def page_of(request: Request, counted_in: str) -> pprof.Page:
    """How numbers are written and the report is headed."""
    divisor = request.number("divide_by", 1.0) / request.number("scale", 1.0)
    if not divisor:
        raise UsageError("--divide_by is zero")
    filters = [f"{name}={text}" for name in _FILTERS if (text := request.settings.get(name))]
    asked = request.settings.get("unit", "minimum")
    if not is_unit(asked):
        raise UsageError(f"--unit {asked!r} is no unit", hint="for instance bytes, kb, mb, auto, minimum, seconds")
    unit = "bytes" if request.on("show_bytes") and is_memory(counted_in) else asked
    return pprof.Page(unit, 1 / divisor, request.on("compact_labels"), filters, trim_of(request))


def trim_of(request: Request) -> Trim:
    """What is left out."""
    if request.output in _UNTRIMMED or not request.on("trim", True):
        return EVERYTHING
    count = int(request.number("nodecount", -1))
    if count < 0:
        count = 0 if request.output in ("text", "topproto") else 80
    return Trim(count, request.number("nodefraction", 0.005), request.number("edgefraction", 0.001))


def _graph(found: Answer, page: pprof.Page, request: Request, *, picture: bool = False) -> CallGraph:
    order: Order = "entropy" if picture else "cum" if request.on("cum") else "flat"
    tree = request.on("call_tree") and (picture or request.output == "callgrind")
    style = Style(page.trim, order, printable, picture, tree, request.on("drop_negative"), forget_small_edges=True)
    written = (lambda value, unit: units.pprof_value(value, unit, page.unit)) if picture else None
    graph = found.graph(style, written)
    if not graph.nodes:
        # pprof prints an empty report and succeeds; scripts that loop over dumps rely on that.
        say(f"warning: {found.value} holds nothing to show")
    return graph


def _text(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded(pprof.table(found, _graph(found, page, request), page))


def _tree(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded(pprof.tree(found, _graph(found, page, request), page)[0])


def _peek(found: Answer, page: pprof.Page, request: Request) -> bytes:
    text, shown = pprof.tree(found, _graph(found, page, request), page, compiled("--peek", request.search))
    if not shown:
        raise NothingToShow(f"no function's name matches {request.search!r}")
    return _encoded(text)


def _traces(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded("".join(pprof.traces(found, page)))


def _tags(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded(pprof.tags(found, page))


def _comments(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded(pprof.comments(found.columns))


def _raw(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.render.raw import raw

    return _encoded("\n".join(raw(found.columns)) + "\n")


def _callgrind(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.render.callgrind import callgrind

    return _encoded(callgrind(found, _graph(found, page, request), page, tree=request.on("call_tree")))


def _collapsed(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.analysis.inquiry import value_index
    from heaptide.formats import collapsed

    return collapsed.dump(found.columns, value_index(found.columns, found.inquiry.value))


def _proto(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.analysis.mixing import scaled
    from heaptide.formats import pprof as proto

    return proto.dump(scaled(found.columns, [page.ratio] * len(found.columns.sample_types)))


def _topproto(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.analysis.flat_profile import flat_profile
    from heaptide.formats import pprof as proto

    graph = _graph(found, page, request)
    return proto.dump(flat_profile(found, graph, pprof.dialect_of(found, page, graph).unit))


def _list(found: Answer, page: pprof.Page, request: Request) -> bytes:
    from heaptide.cli import pprof_code

    return _encoded(pprof_code.source(found, page, request))


def _dot(found: Answer, page: pprof.Page, request: Request) -> bytes:
    return _encoded(pprof.graph_text(found, _graph(found, page, request, picture=True), page))


def _picture(found: Answer, page: pprof.Page, request: Request, form: str) -> bytes:
    from heaptide.render import picture

    return picture.draw(pprof.graph_text(found, _graph(found, page, request, picture=True), page), form)


_OUTPUTS: dict[str, Callable[[Answer, pprof.Page, Request], bytes]] = {
    "text": _text,
    "tree": _tree,
    "peek": _peek,
    "traces": _traces,
    "tags": _tags,
    "comments": _comments,
    "raw": _raw,
    "callgrind": _callgrind,
    "collapsed": _collapsed,
    "proto": _proto,
    "topproto": _topproto,
    "list": _list,
    "dot": _dot,
}


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

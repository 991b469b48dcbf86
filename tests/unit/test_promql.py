"""A user's PromQL is confined to one namespace, or refused with one line."""

from __future__ import annotations

import re
import string

import promql_parser as parser
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leakwarden.core.promql import (
    MAX_LENGTH,
    MAX_MATCHERS,
    MAX_NESTING,
    MAX_REGEXES,
    PromQLError,
    confine,
    literal_regex,
    matcher,
    narrowed,
    why_it_never_objects,
)


@pytest.mark.parametrize(
    ("query", "confined"),
    [
        ("up", 'up{namespace="shop"}'),
        ('up{job="a"}', 'up{job="a",namespace="shop"}'),
        ("rate(x[5m])", 'rate(x{namespace="shop"}[5m])'),
        ("x offset 90s", 'x{namespace="shop"} offset 1m30s'),
        ("max_over_time(rate(x[5m])[1h:1m])", 'max_over_time(rate(x{namespace="shop"}[5m])[1h:1m])'),
        ("a / b", 'a{namespace="shop"} / b{namespace="shop"}'),
        ("a or b unless c", 'a{namespace="shop"} or b{namespace="shop"} unless c{namespace="shop"}'),
        ("sum by (pod) (x) > 80", 'sum by (pod) (x{namespace="shop"}) > 80'),
        ("sum without (job) (x)", 'sum without (job) (x{namespace="shop"})'),
        ("topk(3, x)", 'topk(3, x{namespace="shop"})'),
        ("clamp_max(x, scalar(y))", 'clamp_max(x{namespace="shop"}, scalar(y{namespace="shop"}))'),
        (
            "quantile by (pod) (scalar(y), x)",
            'quantile by (pod) (scalar(y{namespace="shop"}), x{namespace="shop"})',
        ),
        ('{__name__=~"a|b"}', '{__name__=~"a|b",namespace="shop"}'),
        ('absent(x{pod="p"})', 'absent(x{namespace="shop",pod="p"})'),
        (
            'label_replace(x, "zone", "$1", "node", "(.).*")',
            'label_replace(x{namespace="shop"}, "zone", "$1", "node", "(.).*")',
        ),
        ('x # namespace="other"\n + y', 'x{namespace="shop"} + y{namespace="shop"}'),
        # In backticks a string is raw: a backslash is a backslash.
        ("x{pod=~`cart-\\w{5}`}", 'x{namespace="shop",pod=~"cart-\\\\w{5}"}'),
        ('x{a=`"\\`}', 'x{a="\\"\\\\",namespace="shop"}'),
        ("x > 10_000", 'x{namespace="shop"} > 10000'),
        ("x > 0x1F_FF", 'x{namespace="shop"} > 8191'),
        # The label pod is still there.
        ("x or vector(0)", 'x{namespace="shop"} or vector(0)'),
        ("x / on (pod) y", 'x{namespace="shop"} / on (pod) y{namespace="shop"}'),
        ("x / ignoring (job) y", 'x{namespace="shop"} / ignoring (job) y{namespace="shop"}'),
        ("x unless on (namespace) sum(y)", 'x{namespace="shop"} unless on (namespace) sum(y{namespace="shop"})'),
        (
            "x / on (namespace) group_left () sum by (namespace) (y)",
            'x{namespace="shop"} / on (namespace) group_left () sum by (namespace) (y{namespace="shop"})',
        ),
    ],
)
def test_every_selector_gets_the_namespace(query: str, confined: str) -> None:
    assert confine(query, "shop") == confined


@pytest.mark.parametrize("op", ["=", "!=", "=~", "!~"])
def test_a_matcher_of_the_users_own_must_hold_as_well(op: str) -> None:
    (selector,) = _selectors_of(confine(f'x{{namespace{op}"other"}}', "shop"))
    assert {m.value for m in selector.matchers.matchers} == {"other", "shop"}


def test_text_that_ends_a_label_value_stays_inside_it() -> None:
    query = 'x{a="\\"} or secret{b=\\"", c=\'"} or y{\', d="\\\\"}'
    selector = parser.parse(confine(query, 'sh"op\\'))
    assert isinstance(selector, parser.VectorSelector)
    assert [(m.name, m.value) for m in selector.matchers.matchers] == [
        ("a", '"} or secret{b="'),
        ("c", '"} or y{'),
        ("d", "\\"),
        ("namespace", 'sh"op\\'),
    ]


def test_the_labels_names_are_those_of_the_endpoint() -> None:
    query = "sum by (kubernetes_pod) (x)"
    confined = confine(query, "shop", namespace_label="kubernetes_namespace", pod_label="kubernetes_pod")
    assert confined == 'sum by (kubernetes_pod) (x{kubernetes_namespace="shop"})'


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("(x", "does not parse: unclosed left parenthesis"),
        ("", "does not parse"),
        ('x{a=~"["}', "does not parse"),
        ("vector(1)", "reads no series"),
        ("time()", "yields a scalar"),
        ("scalar(x)", "yields a scalar"),
        ("1 + 1", "yields a scalar"),
        ('"text"', "yields a string"),
        ("x[5m]", "yields a range"),
        ("(x[5m:1m])", "yields a range"),
        ("x @ 1700000000", "x has an @ modifier"),
        ("rate(x[5m] @ end())", "x has an @ modifier"),
        ("max_over_time(x[5m:1m] @ start())", "the subquery has an @ modifier"),
        ("x offset -5m", "x has a negative offset"),
        ("max_over_time(x[5m:1m] offset -1m)", "the subquery has a negative offset"),
        ('x{a="b" or c="d"}', "joins label matchers with or"),
        ('label_replace(x, "pod", "$1", "node", "(.*)")', "label_replace() writes the label pod"),
        ('label_replace(x, ("namespace"), "$1", "node", "(.*)")', "label_replace() writes the label namespace"),
        ('label_join(x, "pod", ",", "a", "b")', "label_join() writes the label pod"),
        ('count_values by (pod) ("namespace", x)', "count_values() writes the label namespace"),
        ("info(x)", "info() reads series that cannot be confined"),
        ("sum(x)", "sum(...) drops the label pod; write sum by (pod) (...)"),
        ("-(max by (job) (x))", "max(...) drops the label pod"),
        ("sum without (pod) (x)", "sum(...) drops the label pod"),
        ('x{"a label"="v"}', "the label name 'a label'"),
        ("x" * (MAX_LENGTH + 1), f"at most {MAX_LENGTH} are allowed"),
        ("(" * (MAX_NESTING + 1) + "x" + ")" * (MAX_NESTING + 1), f"at most {MAX_NESTING} levels"),
        ("+".join(["a"] * 256), "255 operators"),
        ("^".join(["a"] * 500), "499 operators"),
        (" or ".join(["a"] * 200), "199 operators"),
        ("-" * (MAX_NESTING + 1) + "x", f"{MAX_NESTING + 1} operators"),
        ("x" + "+(x" * 33 + ")" * 33, "33 operators and brackets 33 deep"),
        (
            "x{" + ",".join(['a=~"b"'] * (MAX_REGEXES + 1)) + "}",
            f"{MAX_REGEXES + 1} matchers with a regular expression",
        ),
        ("x{" + ",".join(['a!="b"'] * (MAX_MATCHERS + 1)) + "}", f"{MAX_MATCHERS + 1} label matchers"),
        ("label_join(x, 'd', ''" + ", ((''))" * 70 + ")", "141 brackets"),
        # Hidden from a count that does not treat strings, comments and numbers as the parser does.
        ('x{a="\\\\"}' + ' + x{a="\\\\"}' * 64, "64 operators"),
        ("x # '\n" + '+ x # "\n' * 65, "65 operators"),
        ("x" + "*0x1e-0x1e" * 40, "80 operators"),
        # An offset that no calendar holds, and one that the parser's own numbers do not.
        ("x offset 3000000y", "cannot be read"),
        ("max by (pod) (max_over_time(x[5m:1m] offset 200000000y))", "cannot be read"),
        # The label is lost further in.
        ("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))", "write sum by (pod, le) (...)"),
        ("sum(x) / sum(y)", "drops the label pod"),
        ("x / sum(y)", "drops the label pod"),
        ("x / on (namespace) y", "/ on (namespace) drops the label pod; match on (pod), or say group_left"),
        ("x / ignoring (pod) y", "/ ignoring (pod) drops the label pod"),
        ("sum(x) * on (namespace) group_left () y", "drops the label pod"),
        ("y * on (namespace) group_right () sum(x)", "drops the label pod"),
        ("sum(x) and y", "drops the label pod"),
        ("sum(x) or sum(y)", "drops the label pod"),
        ("clamp_max(sum(x), 5)", "drops the label pod"),
        ("max_over_time(sum(x)[5m:1m])", "drops the label pod"),
        ("sum by (pod) (sum(x))", "drops the label pod"),
        ("topk(3, sum(x))", "drops the label pod"),
        ("vector(scalar(x))", "vector() yields a value without the label pod"),
        ("absent(x)", "absent() yields a value without the label pod"),
        ("absent_over_time(x[5m])", "absent_over_time() yields a value without the label pod"),
        ("x * on (namespace) group_left (pod) y", "group_left (pod) takes the label pod"),
        ("x * on (node) group_right (namespace) y", "group_right (namespace) takes the label namespace"),
    ],
)
def test_what_cannot_be_a_pods_reading_is_refused_in_one_line(query: str, says: str) -> None:
    with pytest.raises(PromQLError) as refused:
        confine(query, "shop")
    assert says in str(refused.value)
    assert str(refused.value).isprintable()


_names = st.sampled_from(["x", "up", "a:b", "sum", "by", "offset", "_", "namespace"])
_labels = st.sampled_from(["a", "namespace", "pod", "by", "__name__", "on"])
_texts = st.text(st.sampled_from([*string.printable, "\x00", "é", "\u2028", "\U0001f600"]), max_size=12)
_quoted = st.one_of(
    st.sampled_from(['"shop"', "'a|b'", '""', '".+"', '"}"']),
    st.sampled_from(['"other"', "`x`"]),
    _texts.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'),
    _texts.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"),
    _texts.filter(lambda text: not set("`\\\r") & set(text)).map(lambda text: f"`{text}`"),
)
_matchers = st.builds(
    lambda name, op, value: name + op + value, _labels, st.sampled_from(["=", "!=", "=~", "!~"]), _quoted
)
_braces = st.builds(
    lambda items, end: "{" + ",".join(items) + end + "}", st.lists(_matchers, max_size=3), st.sampled_from(["", ","])
)
_modifiers = st.sampled_from(["", "", "", " offset 5m", " offset 1d12h", " offset -1s", " @ 5", " @ end() offset 3ms"])
_selectors = st.builds(
    lambda name, braces, end: name + braces + end, _names | st.just(""), _braces | st.just(""), _modifiers
)
_ranges = st.sampled_from(["[5m]", "[90s]", "[1h:5m]", "[1h:]"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(
        [
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "==",
            "> bool",
            "and",
            "or",
            "unless",
            "* on (pod)",
            "/ ignoring (a) group_left (b)",
        ]
    )
    functions = st.sampled_from(
        ["rate", "min_over_time", "abs", "absent", "scalar", "vector", "sort", "info", "absent_over_time"]
    )
    aggregations = st.sampled_from(
        ["sum", "max by (pod)", "count without (a)", "topk by (pod)", "quantile", "count_values"]
    )
    return st.one_of(
        st.builds("{}{}".format, inner, _ranges),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("{} {} {}".format, inner, operators, inner),
        st.builds("{}({})".format, functions, inner),
        st.builds("{}({}{})".format, functions, inner, _ranges),
        st.builds("{}({})".format, aggregations, inner),
        st.builds("{}({}, {})".format, aggregations, st.sampled_from(["3", '"v"', '"pod"', "0.5"]), inner),
        st.builds('label_replace({}, "{}", "$1", "a", "(.*)")'.format, inner, _labels),
        st.builds("{} # {}\n".format, inner, st.sampled_from(["}", '"', "note"])),
    )


_queries = st.recursive(
    _selectors | st.sampled_from(["1", "0.1", "1e300", "NaN", "-Inf", "0x1F", '"s"']), _larger, max_leaves=6
)
_anything = st.one_of(
    _queries,
    _queries,
    _selectors.map("sum by (pod) (rate({}[5m])) / on (pod) max by (pod) (y)".format),
    st.text(max_size=40),
    st.builds(
        lambda query, at, text: query[:at] + text + query[at:], _queries, st.integers(0, 60), st.text(max_size=3)
    ),
)


def _selectors_of(query: str) -> list[parser.VectorSelector]:
    found: list[parser.VectorSelector] = []

    def visit(node: parser.Expr) -> None:
        if isinstance(node, parser.VectorSelector):
            found.append(node)

    parser.walk(parser.parse(query), visit)
    return found


def _shape(query: str) -> list[str]:
    """The tree, parents first, without matchers."""
    found: list[str] = []

    def visit(node: parser.Expr) -> None:
        own = [getattr(node, name, "") for name in ("op", "val", "range", "offset", "step")]
        function = node.func.name if isinstance(node, parser.Call) else ""
        found.append(f"{type(node).__name__} {function} {' '.join(map(str, own))}")

    parser.walk(parser.parse(query), visit)
    return found


def _shown(selector: parser.VectorSelector) -> list[str]:
    return [f"{m.name} {m.op} {m.value!r}" for m in selector.matchers.matchers]


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(_anything, st.sampled_from(["shop", "a-b", 'x"}', "\\", "é\n"]))
@example('up{a="b" or c="d"}', "shop")
@example("-" * 60 + "x", "shop")
def test_whatever_is_accepted_is_confined_everywhere_and_nothing_else_is_raised(query: str, namespace: str) -> None:
    try:
        confined = confine(query, namespace)
    except PromQLError as refused:
        problem = str(refused)
        assert problem
        assert "\n" not in problem
        return
    selectors = _selectors_of(confined)
    before = _selectors_of(query)
    assert [s.name for s in selectors] == [s.name for s in before]
    assert [s.offset for s in selectors] == [s.offset for s in before]
    for selector, original in zip(selectors, before, strict=True):
        assert sorted(_shown(selector)) == sorted([*_shown(original), f"namespace MatchOp.Equal {namespace!r}"])
    # The parsed query is the one that is sent: written out and read again, it is the same tree.
    assert _shape(confined) == _shape(query)


@given(st.text(max_size=30))
def test_a_matcher_holds_exactly_the_value_it_was_given(value: str) -> None:
    selector = parser.parse(f"x{{{matcher('pod', '=', value)}}}")
    assert isinstance(selector, parser.VectorSelector)
    assert [m.value for m in selector.matchers.matchers] == [value]


@given(st.text(st.sampled_from(list("ab.-*+?()[]{}|^$\\")), min_size=1, max_size=12))
def test_a_literal_in_a_regular_expression_is_no_pattern(text: str) -> None:
    selector = parser.parse(f"x{{{matcher('pod', '=~', literal_regex(text))}}}")
    assert isinstance(selector, parser.VectorSelector)
    pattern = re.compile(selector.matchers.matchers[0].value)
    assert pattern.fullmatch(text)
    assert not pattern.fullmatch(text + "a")


@pytest.mark.parametrize(("label", "op"), [("a b", "="), ("", "="), ("a", "=="), ('a="x",b', "=")])
def test_a_matcher_of_what_is_no_label_or_operator_is_refused(label: str, op: str) -> None:
    with pytest.raises(ValueError, match="not a label and an operator"):
        matcher(label, op, "v")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("up == 0", "empty or zero whatever"),
        ("0 == up", "empty or zero whatever"),
        ("sum(up == 0)", "empty or zero whatever"),
        ("(up == 0) or (x == 0)", "empty or zero whatever"),
        ("(up == 0) and x", "empty or zero whatever"),
        ('ALERTS{alertname="Slow",namespace="kube-system"}', "another namespace than shop"),
        ('count(ALERTS{namespace!="shop"})', "another namespace than shop"),
        ('x and on () y{namespace=~"kube-.*"}', "another namespace than shop"),
        ('rate(x{namespace!~"sh.p"}[5m]) > 1', "another namespace than shop"),
        ('kube_node_status_condition{condition="Ready",status="false"} == 1', "is about the cluster"),
    ],
)
def test_a_veto_that_can_never_object_is_found(query: str, why: str) -> None:
    assert why in why_it_never_objects(query, "shop")


@pytest.mark.parametrize(
    "query",
    [
        "up == bool 0", "count(up == 0)", "up != 0", "up", "absent(up)", "x or (up == 0)", "(up == 0) + 1",
        'ALERTS{namespace=~"sh.*"}', 'absent(up{namespace="other"})', "up unless (x == 0)", "up > 0", "-up", "x - 1",
        'x or y{namespace="other"}', "(up == 0) >= bool 0",
    ],
)  # fmt: skip
def test_of_a_veto_that_may_object_nothing_is_said(query: str) -> None:
    assert why_it_never_objects(query, "shop") == ""


def test_a_confined_query_is_narrowed_further_in_every_selector_and_stays_confined() -> None:
    confined = confine("sum by (pod) (a) / sum by (pod) (b offset 1m)", "shop")
    found = narrowed(confined, {"cluster": "x"})
    assert found.count('cluster="x"') == found.count('namespace="shop"') == 2
    assert narrowed(confined, {}) == confined


def test_a_label_that_promql_does_not_have_narrows_nothing() -> None:
    with pytest.raises(PromQLError):
        narrowed(confine("a", "shop"), {"no-label": "x"})

"""The sources file: its valid contents, and the errors for all others."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from leakwarden.adapters.prometheus.endpoints_file import Endpoint, SourcesError, load_sources


def load(tmp_path: Path, text: str) -> tuple[Endpoint, ...]:
    path = tmp_path / "sources.yaml"
    path.write_text(dedent(text))
    return load_sources(path)


def test_an_endpoint_needs_a_name_and_an_address_and_the_rest_has_defaults(tmp_path: Path) -> None:
    (endpoint,) = load(tmp_path, "prometheus: [{name: main, url: 'http://prometheus.monitoring:9090/'}]")
    assert (endpoint.name, endpoint.url, endpoint.timeout) == ("main", "http://prometheus.monitoring:9090", 10.0)
    assert (endpoint.namespace_label, endpoint.pod_label, endpoint.container_label) == ("namespace", "pod", "container")
    assert endpoint.tls.insecure_skip_verify is False


def test_everything_can_be_said(tmp_path: Path) -> None:
    first, second = load(
        tmp_path,
        """
        prometheus:
        - name: main
          url: https://mimir.example:8443/prometheus
          default: true
          timeout: 1m30s
          namespaceLabel: kubernetes_namespace
          podLabel: kubernetes_pod_name
          containerLabel: c
          headers: {X-Scope-OrgID: team-a}
          bearerTokenFile: /etc/leakwarden/main/token
          tls: {caFile: /etc/ca.pem, certFile: /etc/cert.pem, keyFile: /etc/key.pem}
        - name: other
          url: http://10.0.0.1:9090
          basic: {usernameFile: /etc/user, passwordFile: /etc/password}
          tls: {insecureSkipVerify: true}
        """,
    )
    assert first.timeout == 90.0
    assert first.headers == {"X-Scope-OrgID": "team-a"}
    assert first.tls.ca_file == "/etc/ca.pem"
    assert (first.default, second.default) == (True, False)
    assert second.basic is not None
    assert second.basic.password_file == "/etc/password"


def test_a_single_endpoint_is_the_default_and_several_are_not(tmp_path: Path) -> None:
    assert [e.default for e in load(tmp_path, "prometheus: [{name: a, url: 'http://a'}]")] == [True]
    two = "prometheus: [{name: a, url: 'http://a'}, {name: b, url: 'http://b'}]"
    assert [e.default for e in load(tmp_path, two)] == [False, False]


@pytest.mark.parametrize("text", ["", "{}", "prometheus: []", "# nothing yet\n"])
def test_no_endpoint_is_no_error(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prometheus: [{name: a}]", "prometheus[0].url is missing"),
        ("prometheus: [{url: 'http://a'}]", "prometheus[0].name is missing"),
        ("prometheus: [{name: A_b, url: 'http://a'}]", "prometheus[0].name is 'A_b'"),
        ("prometheus: [{name: a, url: 'http://a', interval: 5s}]", "prometheus[0].interval is not a known field"),
        ("prometheus: [{name: a, url: 'ftp://a'}]", "prometheus[0].url is 'ftp://a': must begin with http:// or https://"),
        ("prometheus: [{name: a, url: 'file:///etc/passwd'}]", "must begin with http:// or https://"),
        ("prometheus: [{name: a, url: 'prometheus:9090'}]", "must begin with http:// or https://"),
        ("prometheus: [{name: a, url: 'http://a/?x=1'}]", "must not hold a query or fragment"),
        ("prometheus: [{name: a, url: 'http://a:port'}]", "must be an address such as"),
        ("prometheus: [{name: a, url: 'http://[::1'}]", "must be an address such as"),
        ("prometheus: [{name: a, url: \"http://a\\nb\"}]", "must be an address such as"),
        ("prometheus: [{name: a, url: 'http://a', timeout: soon}]", "prometheus[0].timeout is 'soon'"),
        ("prometheus: [{name: a, url: 'http://a', timeout: 0s}]", "above 0s and at most 5m"),
        ("prometheus: [{name: a, url: 'http://a', timeout: 1h}]", "above 0s and at most 5m"),
        ("prometheus: [{name: a, url: 'http://a', podLabel: 'a\"}'}]", "prometheus[0].podLabel"),
        ("prometheus: [{name: a, url: 'http://a', bearerTokenFile: token}]", "must be an absolute path"),
        ("prometheus: [{name: a, url: 'http://a', headers: {Authorization: x}}]", "credentials belong in files"),
        ("prometheus: [{name: a, url: 'http://a', headers: {'a b': x}}]", "is not the name of a header"),
        ("prometheus: [{name: a, url: 'http://a', headers: {X-A: \"a\\r\\nb\"}}]", "must be printable ASCII on one line"),
        ("prometheus: [{name: a, url: 'http://a', tls: {certFile: /c}}]", "certFile and keyFile belong together"),
        ("prometheus: [{name: a, url: 'http://a', tls: {caFile: /c, insecureSkipVerify: true}}]", "caFile has no use"),
        ("prometheus: [{name: a, url: 'http://a', basic: {usernameFile: /u}}]", "basic.passwordFile is missing"),
        (
            "prometheus: [{name: a, url: 'http://a', bearerTokenFile: /t, basic: {usernameFile: /u, passwordFile: /p}}]",
            "bearerTokenFile and basic exclude each other",
        ),
        ("prometheus: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]", "the name 'a' more than once"),
        (
            "prometheus: [{name: a, url: 'http://a', default: true}, {name: b, url: 'http://b', default: true}]",
            "'a' and 'b' are both the default",
        ),
        ("prometheus: main", "prometheus is 'main'"),
        ("prometheis: []", "prometheis is not a known field"),
        ("- a", "must be a mapping"),
        ("a: [", "is not valid YAML (line "),
        ("\x00", "is not valid YAML"),
        ("prometheus: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_file_field_and_what_is_allowed(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SourcesError) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'sources.yaml'}: ")
    assert says in message
    assert message.isprintable()


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SourcesError) as refused:
        load(tmp_path, "prometheus: [{name: a, url: 'http://ann:s3cr3t@prometheus:9090'}]")
    assert "prometheus[0].url: must not hold a user or password" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match=r"missing\.yaml: cannot be read: No such file or directory"):
        load_sources(tmp_path / "missing.yaml")
    with pytest.raises(SourcesError, match="cannot be read: Is a directory"):
        load_sources(tmp_path)


def test_a_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="larger than 1 MiB"):
        load(tmp_path, "#" * (1 << 20) + "\n")

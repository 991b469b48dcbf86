"""The operator's settings: their defaults, and the values they refuse."""

from __future__ import annotations

import pytest

from leakwarden.core.election import Timing
from leakwarden.settings import SettingsError, from_environment, unknown_variables

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def test_by_hand_no_leader_is_elected_and_in_a_pod_one_is() -> None:
    assert not from_environment({}).leader_election
    assert from_environment(IN_A_POD).leader_election


def test_what_is_said_wins_over_where_it_runs() -> None:
    assert not from_environment({**IN_A_POD, "LEAKWARDEN_LEADER_ELECTION": "false"}).leader_election
    assert from_environment({"LEAKWARDEN_LEADER_ELECTION": "true"}).leader_election


def test_the_lease_is_timed_as_by_client_go_unless_told_otherwise() -> None:
    assert from_environment({}).lease_timing == Timing(15.0, 10.0, 2.0)
    told = {
        "LEAKWARDEN_LEASE_DURATION": "1m",
        "LEAKWARDEN_LEASE_RENEW_DEADLINE": "40s",
        "LEAKWARDEN_LEASE_RETRY": "500ms",
    }
    assert from_environment(told).lease_timing == Timing(60.0, 40.0, 0.5)


@pytest.mark.parametrize(
    "told",
    [
        {"LEAKWARDEN_LEASE_DURATION": "10s"},
        {"LEAKWARDEN_LEASE_RENEW_DEADLINE": "2s"},
        {"LEAKWARDEN_LEASE_RETRY": "0s"},
        {"LEAKWARDEN_LEASE_DURATION": "15.5s"},
    ],
)
def test_times_with_which_two_could_lead_are_refused_by_name(told: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"LEASE_RETRY .* < LEAKWARDEN_LEASE_RENEW_DEADLINE .* must hold"):
        from_environment(told)


def test_a_variable_that_is_no_setting_is_noticed() -> None:
    assert unknown_variables({"LEAKWARDEN_LEASE_RETRYS": "1", "LEAKWARDEN_SERVICE_HOST": "10.0.0.1"}) == [
        "LEAKWARDEN_LEASE_RETRYS"
    ]


def test_kinds_of_workload_are_a_list_separated_by_commas() -> None:
    assert from_environment({"LEAKWARDEN_WORKLOADS": "StatefulSet, DaemonSet,Rollout"}).workloads == {
        "StatefulSet",
        "DaemonSet",
        "Rollout",
    }
    assert not from_environment({"LEAKWARDEN_WORKLOADS": ""}).workloads
    for wrong, says in (("Deployment", "Deployments are always followed"), ("Job", "StatefulSet")):
        with pytest.raises(SettingsError, match=f"LEAKWARDEN_WORKLOADS.*{says}"):
            from_environment({"LEAKWARDEN_WORKLOADS": wrong})

"""Every check has a permanent id and a page with the reason and the correction; the admission policy agrees with the
pages."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from leakwarden.__main__ import main
from leakwarden.core.audit import CHECKS
from leakwarden.core.audit.admission_policy import RULES, admission_policy
from leakwarden.core.audit.findings import Check
from leakwarden.core.audit.pages import every_check, page

Captured = pytest.CaptureFixture[str]

# Written a second time on purpose: an id that changes would break other people's exceptions, baselines and alerts.
IDS = {
    "LW101": "ReadinessProbeMissing", "LW102": "LivenessProbeMissing", "LW103": "StartupProbeMissing",
    "LW104": "ProbePortUndeclared", "LW105": "ProbePathUnexpected", "LW106": "LivenessEqualsReadiness",
    "LW107": "ProbeNotHTTP", "LW108": "LivenessKillsStart", "LW109": "LivenessImpatient", "LW110": "ProbeTimeoutTooLong",
    "LW111": "StartupBudgetShort", "LW112": "ReadinessSlowToFail", "LW113": "ProbeHostSet",
    "LW114": "ExecProbeTimeoutShort", "LW115": "LivenessAsksReadiness", "LW116": "SidecarProbeMissing",
    "LW117": "ReadinessAsksElsewhere", "LW118": "ReadinessGateSet", "LW209": "HookPortMissing",
    "LW413": "AutoscalerRequestMissing", "LW414": "AutoscalerContainerMissing", "LW510": "RouteTargetMissing",
    "LW511": "GoverningServiceMissing", "LW608": "ResourceUnitUnlikely", "LW701": "ClaimHeldByOne", "LW702": "MemoryVolumeUnbounded",
    "LW703": "DiskVolumeUnfit", "LW704": "ReferenceMissing", "LW705": "MountFrozen", "LW751": "StartDeadlineShort",
    "LW752": "RunsOverlap", "LW906": "VariableTwice",
    "LW201": "GraceBelowDrain", "LW202": "GraceZero", "LW203": "PreStopLengthUnknown",
    "LW204": "EndpointRemovalRace", "LW205": "SidecarOutlastsGrace", "LW206": "ShellIsFirstProcess",
    "LW207": "GraceVeryLong", "LW208": "ProbeGraceUnfit", "LW301": "StrategyRecreate", "LW302": "RolloutTakesAllDown",
    "LW303": "RolloutWithoutSurge", "LW304": "SingleReplica", "LW305": "MinReadySecondsZero",
    "LW306": "ProgressDeadlineShort", "LW307": "RolloutPaused", "LW308": "SurgeNeedsNode", "LW309": "UpdateOnDelete",
    "LW401": "DisruptionBudgetMissing", "LW402": "DisruptionBudgetBlocks", "LW403": "DisruptionBudgetsOverlap",
    "LW404": "DisruptionBudgetMatchesNothing", "LW405": "DisruptionBudgetIdle", "LW406": "UnhealthyPodsStay",
    "LW407": "ReplicasBesideAutoscaler", "LW408": "AutoscalerMinimumSingle", "LW409": "AutoscalerTargetMissing",
    "LW410": "AutoscalersCompete", "LW411": "SpreadMissing", "LW412": "SpreadSelectsOthers",
    "LW501": "ServiceTargetMissing", "LW502": "ServiceSelectsNothing", "LW503": "ServicePublishesUnready",
    "LW504": "ServiceLocalTraffic", "LW505": "RouteOutlastsGrace", "LW506": "MetricsNotScraped",
    "LW507": "MonitorPortMissing", "LW508": "MonitorSelectsNothing", "LW509": "ProfilingExposed",
    "LW601": "MemoryLimitMissing", "LW602": "GoMemLimitMissing", "LW603": "GoMemLimitMalformed",
    "LW604": "GoMemLimitAboveLimit", "LW605": "GarbageCollectionOff", "LW606": "ProcessorsAboveLimit",
    "LW607": "DescriptorLimitRaised", "LW801": "EndpointSilent", "LW802": "EndpointNotFound", "LW803": "EndpointFailing",
    "LW804": "EndpointRedirects", "LW901": "ApiRejects", "LW902": "VersionRemoved", "LW903": "UnknownField",
    "LW904": "KeyTwice", "LW905": "ExceptionUnfit",
    "LW119": "ProbeCommandOutlasts", "LW210": "HookWithoutShell", "LW211": "ProxyEndsFirst",
    "LW310": "SelectorsOverlap", "LW311": "SurgeWithoutDomain", "LW415": "AutoscalerServesFromZero",
    "LW212": "PostStartBlocks", "LW312": "RolloutPartitioned", "LW313": "RollbackImpossible",
    "LW416": "DisruptionBudgetSelectsJobs", "LW512": "ServiceSelectsJobs",
    "LW521": "ProxyNeverRetries", "LW522": "ProxyRepeatsWrites", "LW523": "OutlierDetectionMissing",
    "LW524": "ConnectionsNotReused", "LW417": "DisruptionBudgetLosesQuorum",
    "LW418": "DisruptionBudgetOfSeveral", "LW120": "LivenessAsksOthers",
    "LW314": "RolloutBesidePods", "LW315": "SurgeAboveQuota", "LW419": "AutoscalersShareRequest",
}  # fmt: skip


def test_ids_are_what_they_always_were() -> None:
    assert {check.id: check.name for check in every_check()} == IDS


@pytest.mark.parametrize("check", every_check(), ids=lambda check: check.id)
def test_a_page_says_what_why_how_and_where_from(check: Check) -> None:
    shown = page(check)
    assert 10 < len(shown.title) < 80
    assert len(shown.why) > 40
    assert shown.mend
    assert shown.source.startswith(("https://", "docs/"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_what_a_page_gives_to_paste_is_yaml(check: Check) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page(check).markdown, re.DOTALL):
        assert yaml.safe_load(block) is not None


def test_one_check_is_found_by_id_and_by_name(capsys: Captured) -> None:
    for word in ("LW206", "lw206", "ShellIsFirstProcess"):
        assert main(["checks", word]) == 0
        assert capsys.readouterr().out.startswith("LW206 ShellIsFirstProcess: A shell is the first process")
    assert main(["checks", "LW999"]) == 2
    assert "there is no check LW999" in capsys.readouterr().err


def test_the_list_is_for_programs_too(capsys: Captured) -> None:
    main(["checks", "-o", "json"])
    assert {each["id"]: each["name"] for each in json.loads(capsys.readouterr().out)} == IDS


def test_the_admission_policy_names_checks_and_only_warns(capsys: Captured) -> None:
    main(["checks", "-o", "admission"])
    policy, binding = yaml.safe_load_all(capsys.readouterr().out)
    assert [policy, binding] == admission_policy()
    assert binding["spec"]["validationActions"] == ["Warn", "Audit"]
    assert policy["spec"]["failurePolicy"] == "Ignore"
    for rule, validation in zip(RULES, policy["spec"]["validations"], strict=True):
        assert validation["message"].startswith(f"{rule.id} {IDS[rule.id]}: ")
        assert len(validation["message"]) < 1024

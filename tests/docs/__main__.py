"""`python -m tests.docs`: write the generated parts of the documentation, or with --check say which are stale."""

from __future__ import annotations

import argparse
import sys

from tests.bench.scale import per_object, shares, sizing
from tests.bench.scale import record as scale
from tests.docs import bench, operating, peers, pictures, schema, signals, vocabulary
from tests.docs.blocks import ROOT, Generators, UnknownBlock, filled, pages

GENERATORS: Generators = {
    "policy-spec": schema.policy_spec,
    "policy-status": schema.policy_status,
    "cluster-policy-spec": schema.cluster_policy_spec,
    "cluster-policy-status": schema.cluster_policy_status,
    "report-spec": schema.report_spec,
    "report-status": schema.report_status,
    "condition-reasons": vocabulary.condition_reasons,
    "skip-reasons": vocabulary.skip_reasons,
    "evidence-reasons": vocabulary.evidence_reasons,
    "descriptor-reasons": vocabulary.descriptor_reasons,
    "verdict-reasons": vocabulary.verdict_reasons,
    "judgement-reasons": vocabulary.judgement_reasons,
    "audit-checks": vocabulary.audit_checks,
    "check-pages": vocabulary.check_pages,
    "peer-counts": peers.counts,
    "peer-kube-score": peers.cases_of("kube-score"),
    "peer-kube-linter": peers.cases_of("kube-linter"),
    "peer-polaris": peers.cases_of("polaris"),
    "peer-left-out": peers.left_out,
    "leak-shapes": vocabulary.leak_shapes,
    "signals": signals.overview,
    "signal-metrics": signals.metrics,
    "signal-missing": signals.missing,
    "signal-context": signals.context,
    "settings": operating.settings,
    "metrics": operating.metrics,
    "exit-codes": operating.exit_codes,
    "commands": operating.commands,
    "accuracy": bench.accuracy,
    "scale-table": scale.table,
    "scale-sizes": sizing.table,
    "scale-real": scale.real_table,
    "scale-profile": shares.table,
    "scale-per-object": per_object.table,
    "accuracy-table": bench.comparison,
    "bench-tables": bench.everything,
    "profile-score": bench.profile_score,
    "demo-picture": pictures.demo_picture,
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is stale")
    options.add_argument("--pictures", action="store_true", help="draw the pictures too; needs Chromium")
    arguments = options.parse_args()
    if arguments.pictures and not arguments.check:
        pictures.draw()
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        try:
            wanted = filled(text, GENERATORS)
        except UnknownBlock as error:
            print(f"docs: {page.relative_to(ROOT)}: {error}", file=sys.stderr)
            return 2
        if wanted == text:
            continue
        stale += 1
        if arguments.check:
            print(f"docs: {page.relative_to(ROOT)} is stale; run `make docs`", file=sys.stderr)
        else:
            page.write_text(wanted, encoding="utf-8")
            print(page.relative_to(ROOT))
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

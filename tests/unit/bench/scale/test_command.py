"""The bench's command line."""

from __future__ import annotations

import pytest

from tests.bench.scale.__main__ import main


def test_a_real_api_server_for_too_many_pods_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["scale", "--kwok", "--pods", "1000", "30000"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--pods 30000: --kwok is for at most 20000" in capsys.readouterr().err

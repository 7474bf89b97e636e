"""Traces of polls, but for those of a worker on a broker, which the tests of delivery look at."""

import subprocess
import sys

import pytest

from contracts.errors import SettingError
from projector.worker import run_worker
from tests.live import settings_of


async def test_without_the_extra_the_setting_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = settings_of(database_url, "127.0.0.1:1", "x.").model_copy(update={"tracing": True})
    with pytest.raises(SettingError, match=r"RUNFOLD_TRACING: .*runfold\[otel\]"):
        await run_worker(settings)


def test_off_it_is_not_even_loaded() -> None:
    program = (
        "import sys, projector.worker;"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

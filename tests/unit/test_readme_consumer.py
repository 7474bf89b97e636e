"""The consumer in the README with a broker that fails: it tells what it has to all the same."""

import json
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.approvals import CLAIMS, KEYS, PUBLISHED, approval
from tests.readme import README
from tests.unit.event_samples import least


async def test_an_answer_that_failed_is_given_when_the_decision_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[bytes] = []
    failures = [ConnectionError("away")]

    async def publish(value: bytes, *_: Any, **__: Any) -> None:
        if failures:
            raise failures.pop()
        sent.append(value)

    monkeypatch.setenv("RUNFOLD_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("RUNFOLD_URL", "http://127.0.0.1:1")
    [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    engine: dict[str, Any] = {}
    exec(code.replace("asyncio.run(app.run())", ""), engine)
    engine["broker"], engine["keys"] = SimpleNamespace(publish=publish), PUBLISHED
    call = {name: CLAIMS[name] for name in ("tool_name", "arguments_sha256")}
    run_id, now = CLAIMS["run_id"], int(time.time())
    run = {"run_id": run_id, "project_id": "p1", "state": "waiting_approval"}
    engine["runs"][run_id] = 7, run | {"pending_action": call}
    token = KEYS.sign(approval(iat=now, exp=now + 60))
    event = least("approval-command", run_id=run_id, run_version=7, approval_token=token)
    message = SimpleNamespace(body=json.dumps(event).encode())
    decided = engine["decided"]._original_call
    with pytest.raises(ConnectionError):
        await decided(message)
    assert engine["runs"][run_id][0] == 7
    for _ in range(2):
        await decided(message)
    assert engine["runs"][run_id][0] == 8
    assert len(sent) == 1
    assert capsys.readouterr().out.count("calling") == 1

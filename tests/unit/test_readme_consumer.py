"""The consumer in the README with a broker that fails: what is to be told is told all the same."""

import json
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.approvals import CLAIMS, KEYS, approval
from tests.readme import README
from tests.unit.event_samples import least


class Broker:
    """Fails with the first record."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_away = True

    async def publish(self, value: bytes, *_: Any, **__: Any) -> None:
        if self.is_away:
            self.is_away = False
            raise ConnectionError("away")
        self.sent.append(value)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("RUNFOLD_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("RUNFOLD_URL", "http://127.0.0.1:1")
    [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code.replace("asyncio.run(app.run())", ""), found)
    found["broker"] = Broker()
    return found


async def test_what_could_not_be_told_is_not_noted(engine: dict[str, Any]) -> None:
    run = {"run_id": "r1", "state": "waiting_approval"}
    with pytest.raises(ConnectionError):
        await engine["tell"](1, **run)
    assert engine["runs"] == {}
    await engine["tell"](1, **run)
    assert engine["runs"]["r1"] == (1, run)
    assert len(engine["broker"].sent) == 1


async def test_a_call_that_could_not_be_told_of_is_told_of_when_it_comes_again(
    engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call = {name: CLAIMS[name] for name in ("tool_name", "arguments_sha256")}
    run_id, now = CLAIMS["run_id"], int(time.time())
    run = {"run_id": run_id, "project_id": "p1", "state": "waiting_approval"}
    engine["keys"] = KEYS.jwks()
    engine["runs"][run_id] = 7, run | {"pending_action": call}
    token = KEYS.sign(approval(iat=now, exp=now + 60))
    event = least("approval-command", run_id=run_id, run_version=7, approval_token=token)
    message = SimpleNamespace(body=json.dumps(event).encode())
    decided = engine["decided"]._original_call
    with pytest.raises(ConnectionError):
        await decided(message)
    await decided(message)
    await decided(message)
    assert len(engine["broker"].sent) == 1
    assert capsys.readouterr().out.count("calling") == 1

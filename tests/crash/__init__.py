"""Workers that crash, and everything around them that goes away, while a history is written.

Workers are processes of their own, started by the command `runfold projector`. Whatever befell
them, in the end every partition is read to its end, the views are those of the reference model
over what lies in the topics, each bad record is parked once, and `runfold audit` is content.
"""

import pytest

# So that a judgement that fails says what differs, as a test does.
pytest.register_assert_rewrite("tests.crash.judge", "tests.crash.workers")

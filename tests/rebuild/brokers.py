"""Which broker a test runs on, where that is not only the embedded one."""

import pytest

APACHE = pytest.param("apache", marks=pytest.mark.kafka)
on_both = pytest.mark.parametrize("bootstrap", ["embedded", APACHE], indirect=True)
on_apache = pytest.mark.parametrize("bootstrap", [APACHE], indirect=True)

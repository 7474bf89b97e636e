"""Process control, databases and waiting for tests; nothing here is a test."""

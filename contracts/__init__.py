"""What crosses a border: events in, views out, approvals between services."""

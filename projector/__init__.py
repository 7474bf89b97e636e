"""Events to rows: the only writer of the views."""

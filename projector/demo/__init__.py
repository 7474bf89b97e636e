"""Everything on one machine: embedded servers, a synthetic history and the demo over both."""

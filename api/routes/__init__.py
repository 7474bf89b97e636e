"""The endpoints, one module a screen."""

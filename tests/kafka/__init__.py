"""Apache Kafka itself, run from its jars, for what the embedded broker cannot show."""

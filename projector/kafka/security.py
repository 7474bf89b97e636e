"""How a worker is known to the broker, in FastStream's terms."""

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from contracts.settings import KafkaSettings, kafka_connection


def security(settings: KafkaSettings) -> BaseSecurity:
    """Return the settings' way of reaching the broker in FastStream's terms."""
    connection = kafka_connection(settings)
    use_ssl = settings.kafka_security_protocol.endswith("SSL")
    if not settings.kafka_security_protocol.startswith("SASL_"):
        return BaseSecurity(ssl_context=connection["ssl_context"], use_ssl=use_ssl)
    mechanism = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }[settings.kafka_sasl_mechanism]
    return mechanism(
        username=connection["sasl_plain_username"] or "",
        password=connection["sasl_plain_password"] or "",
        ssl_context=connection["ssl_context"],
        use_ssl=use_ssl,
    )

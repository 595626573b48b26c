"""The conformance run's own parts. The clients' drivers are in `clients/`."""

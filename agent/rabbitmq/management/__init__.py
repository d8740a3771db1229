"""What RabbitMQ's management API says of a broker, on top of what the agent sees for itself.

Import ``poller`` only where it is used: its HTTP client costs memory.
"""

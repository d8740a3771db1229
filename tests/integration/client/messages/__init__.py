"""What applications ask a client for beside publishing and consuming, on a real cluster."""

"""What the brokers themselves have logged."""

"""Groups whose nodes disagree with one another."""

"""What tests share: waiting for a condition, servers, sample events."""

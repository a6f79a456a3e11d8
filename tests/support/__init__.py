"""What tests share: builders, and nothing that asserts."""

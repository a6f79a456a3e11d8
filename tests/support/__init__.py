"""What tests share: builders without assertions."""

"""What is sent to the platforms people have."""

"""What Homeport knows about single products, beyond the general rules."""

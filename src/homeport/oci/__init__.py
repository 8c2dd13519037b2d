"""The Open Container Initiative's formats and protocol rules, without I/O."""

"""Rate limits without I/O: headers and numbers in, budgets and forecasts out."""

"""The discrete-event engine: simpy owns control events, a compiled kernel owns pods."""

"""How much to build: closed forms, the fluid tier over every capacity, the recommendation and its steps."""

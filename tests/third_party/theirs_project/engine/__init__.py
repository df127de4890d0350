"""Their engine, which is not ours: a stock of goods that customers reserve."""

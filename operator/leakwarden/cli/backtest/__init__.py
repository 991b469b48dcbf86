"""`leakwarden backtest`: recorded series, judged as the operator would have judged them."""

"""One process watched for minutes: its scraped metrics, the operator's judgement on a shorter clock, and its report."""

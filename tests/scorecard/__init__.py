"""The scorecard: what the tests measured, as the table of ``docs/scorecard.md``."""

"""One test for each figure that the scorecard asks for; each prints what it reached."""

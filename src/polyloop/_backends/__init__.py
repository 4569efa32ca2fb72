"""The places a worker can live in: one small `Link` each, independent of one another."""

"""Batch: events in the lake → tables of the lake. Each job writes the days of a range, and can be run twice."""

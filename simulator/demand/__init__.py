"""Demand: from what a bill and a cluster say to the hourly demand that capacity is built for."""

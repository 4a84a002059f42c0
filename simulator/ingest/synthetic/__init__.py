"""A company of our making, generated from a seed: its bills, usage and cluster; the shipped 40-node case."""

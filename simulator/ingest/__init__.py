"""Ingest: bills, cluster telemetry and inventories become `models` values; rows stay in the store."""

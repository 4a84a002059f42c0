"""Workloads beyond the measured demand, run by their controllers: Deployments with an HPA, Jobs, CronJobs, gangs, rollouts."""

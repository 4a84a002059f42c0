"""The Kubernetes scheduler, explained: objects as kubectl prints them, filters and scores, preemption, `place`."""

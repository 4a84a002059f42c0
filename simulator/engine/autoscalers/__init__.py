"""The node autoscalers as the real ones decide: Cluster Autoscaler, Karpenter, and the replay of a demand curve."""

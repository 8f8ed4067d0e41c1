"""What is served besides intake: probes for machines, and the operators' resources under /v1."""

"""Measure vision-language models on business documents. Knows nothing of pytest."""

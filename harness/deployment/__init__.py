"""From evidence to a deployment: which GPUs a cell fits, how large its pods are, how many it takes, what that costs.

Every figure says whether it was measured, predicted from measurements elsewhere, or assumed.
"""

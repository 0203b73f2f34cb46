"""The runtime `fast`: the same weights as `eager`, decoded in slots that are refilled as answers end.

Prompts are read without padding, each row's keys and values stand in a slot of fixed size, and on a CUDA device one
decoding step is a single CUDA graph. Greedy, and of the same arithmetic as the library's own `generate`.
"""

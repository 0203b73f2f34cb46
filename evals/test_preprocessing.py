"""What does the model get to see? Tiles, image tokens and pixels of every document."""

from fixtures.comparing import image_gate, pixels_gate


def test_image_tokens(vlm, check):
    """Every answer tells its tiles and image tokens, and they fit together."""
    check(vlm, [image_gate(vlm)])


def test_same_pixels(sibling, check):
    """Precision changes the model, never the picture."""
    check(sibling.run, [pixels_gate(sibling)])

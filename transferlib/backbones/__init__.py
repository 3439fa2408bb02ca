"""What is reused: pretrained networks of images and texts, their weights, their layers, and what they see."""

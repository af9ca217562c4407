"""The encoder `lite`: text vectors from the poem corpus, and an ImageNet classifier over them."""

"""The command line: a module for each command, and what they share. `image2poem.__main__` lists them."""

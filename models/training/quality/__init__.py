"""The measures of a poet's verse, each in its own module; people's verse goes through the same code."""

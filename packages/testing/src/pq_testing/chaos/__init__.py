"""What is done to the workers of a test that asks for it: deaths, lost acknowledgements, other orders."""

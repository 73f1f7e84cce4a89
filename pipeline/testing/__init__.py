"""What the tests, the demo and the benches share: pictures that carry their own frame number."""

"""Code shared by the tests, the demo and the benches, such as films whose frames carry their own number."""

"""What runs tamis elsewhere than on one machine: see docs/cluster.md."""

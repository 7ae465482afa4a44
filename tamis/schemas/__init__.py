"""What every table and document looks like, with units and ranges."""

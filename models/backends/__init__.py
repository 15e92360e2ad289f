"""Ways to run the networks: one file per back end, all with one signature."""

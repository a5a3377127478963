"""The ratios of the README, reproduced by one command: `make bench`."""

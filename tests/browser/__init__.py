"""A package, so that pytest ends the browser and its recorder with the last of these tests and not with the whole run."""

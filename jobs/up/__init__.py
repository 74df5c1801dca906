"""The whole product on one machine: what `queueql up` starts, watches and stops."""

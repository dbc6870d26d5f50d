"""What `pettwin up` starts and supervises on this machine."""

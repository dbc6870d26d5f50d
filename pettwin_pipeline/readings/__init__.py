"""What a collar says: decoding, ranges, rejects, the simulator, recorded sessions. Pure."""

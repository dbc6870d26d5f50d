"""The outside, one system a file: everything that opens a socket, a file or a database."""

"""What lasts: rows in a database, files in a data folder, and the process that takes uploads in."""

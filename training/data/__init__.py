"""From files to binned tracks: fetch them, bin them into a data set, and draw windows from it."""

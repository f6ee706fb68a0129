"""A store in an SQLite file, which all processes of one machine share."""

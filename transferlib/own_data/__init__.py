"""Your own data: found, read, checked, compared, decided on, saved."""

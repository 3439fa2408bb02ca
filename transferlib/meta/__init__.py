"""Learning to learn: practise on many small tasks, so that the next small task goes well."""

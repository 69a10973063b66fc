"""The only place with SQL: schema, the writing store, read-only queries, and the intake in front of the writer."""

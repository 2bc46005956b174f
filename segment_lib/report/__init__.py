"""The report of a tenant: what is published, gathered as plain values, and written as one page that opens anywhere."""

"""A bookshop: orders come in by HTTP, and jobs charge, pack, follow parcels and write mails."""

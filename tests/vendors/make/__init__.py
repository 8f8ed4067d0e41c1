"""One script a vendor: it signs with the vendor's own library and writes the vectors. Run by `make vectors`."""

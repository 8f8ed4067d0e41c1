"""The vendor catalogue, proven: requests that vendors' own libraries signed, and the page that tells of it."""

"""One HTML page that opens offline: markup, plots and style of our own, nothing fetched."""

"""What quantizing costs, layer by layer: measured on files, while converting, or in a running model; as text, JSON, picture and page."""

"""Running a loaded model with less VRAM and host memory than its weights take, and with less activation memory."""

"""The example workflows: graphs as data, written in the form of ComfyUI's page and in that of its API."""

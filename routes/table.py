"""The routes and what answers them."""

from . import choice, fit, inspect, jobs, kernels, memory

ROUTES = (
    ("GET", "kernels", kernels.last),
    ("POST", "kernels", kernels.make),
    ("GET", "choice", choice.ask),
    ("GET", "memory", memory.ask),
    ("POST", "inspect", inspect.make),
    ("GET", "fit", fit.ask),
    ("GET", "fit/models", fit.models),
    ("GET", "jobs", jobs.list_all),
    ("GET", "jobs/{id}", jobs.ask),
    ("POST", "jobs", jobs.start),
    ("POST", "jobs/{id}/cancel", jobs.cancel),
)
"""Method, path under /lightquant/, handler."""

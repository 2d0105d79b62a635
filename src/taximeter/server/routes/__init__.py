"""The API's routes, one module a noun. They block: the framework runs them on threads, beside the gateway's loop."""

"""People come in here: the resident's card, the cashier and the console, rendered on the server (Jinja2, htmx)."""

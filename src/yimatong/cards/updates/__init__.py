"""Updates of what is registered of a resident, and what follows from them."""

"""Who is calling: apps, institutions, terminals, fronts; operators and their roles; approvals by a second person."""

"""Medical insurance (医保): the mobile payment centre (6201-6401) and the hospital interface (2206-2208, 2601)."""

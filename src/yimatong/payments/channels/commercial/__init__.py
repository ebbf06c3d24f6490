"""Commercial insurance (商保快赔): the insurer pays its part of a bill at once, without papers."""

"""The cashier: what the page and native apps need to have an order paid."""

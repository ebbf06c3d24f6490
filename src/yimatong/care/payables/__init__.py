"""What a resident, or whom she cares for, has to pay: looked up, and paid in one order a hospital."""

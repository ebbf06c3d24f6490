"""Credit payment (先诊疗后付费): a guarantor pays now for a resident who has signed, and collects from her later."""

"""Who the person is: the province's person index (跨域主索引)."""

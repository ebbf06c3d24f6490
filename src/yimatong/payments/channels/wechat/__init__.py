"""WeChat Pay, API v3, direct merchants (pay.weixin.qq.com)."""

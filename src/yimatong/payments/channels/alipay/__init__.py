"""Alipay's open platform, gateway protocol (openapi.alipay.com/gateway.do), direct merchants with RSA2 keys."""

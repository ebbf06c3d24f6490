"""Cooperative medical care (新农合): this platform's own documented protocol (docs/spec/cooperative-medical.md)."""

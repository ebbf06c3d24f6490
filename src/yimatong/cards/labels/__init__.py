"""Printed labels (二维码标签): print, list, revoke; kiosk links; symbols of given codes."""

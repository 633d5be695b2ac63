"""What models are told: one module per operator, and how untrusted text is set apart."""

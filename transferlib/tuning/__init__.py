"""How it is reused: probes, fine-tuning and what lies between, the training loop, and what each way costs."""

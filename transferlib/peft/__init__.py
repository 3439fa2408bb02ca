"""Parameter-efficient fine-tuning: LoRA, adapters, prompts, and the small files that keep what was learned."""

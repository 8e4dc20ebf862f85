"""The network: its weights and losses, who fires, and what firing pairs compute."""

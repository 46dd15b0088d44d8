"""Trigger.dev's run API: rendering and parsing, pure, over the same commands and views as everything else."""

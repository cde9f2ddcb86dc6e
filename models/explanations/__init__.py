"""From facts to arguments: what the language model is asked, and what its answers become."""

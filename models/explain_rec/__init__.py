"""ExplainRec's parts: fusion of text and looks, attribution, the knowledge base, tasks, and the network of them."""

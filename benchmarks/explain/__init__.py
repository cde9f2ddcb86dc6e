"""ExplainRec's benchmark: TALLRec's prompts, strangers, and looks."""

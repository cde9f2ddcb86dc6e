"""ReasoningRec's parts: windows of a history, what a teacher writes, what a student is asked, and how it is tuned."""

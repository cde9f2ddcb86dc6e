"""What ReasoningRec's benchmark is made of: windows of real data, settings that are compared, and peers."""

"""Language models behind one protocol: embedded, OpenAI-compatible over HTTP, and scripted for tests."""

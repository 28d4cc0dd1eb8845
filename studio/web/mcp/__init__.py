"""The door for assistants: the Model Context Protocol at /mcp, thin over the services."""

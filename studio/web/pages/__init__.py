"""Pages for signing in and for one's account: plain HTML and forms, without any script."""

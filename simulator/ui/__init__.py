"""The app: one page a file; a page reads the state, calls the pipeline and draws."""

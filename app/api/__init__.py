"""HTTP: thin routes over the core, one module per resource."""

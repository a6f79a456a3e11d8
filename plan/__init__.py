"""What `pulumi up` would create or change: compares recordings, explains the risks, prints text, Markdown and JSON."""

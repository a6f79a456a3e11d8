"""The parts of the cluster, one component resource per file.

A component takes frozen args: plain values for what is decided in the stack file, `pulumi.Input` for what another part
makes. It hands the caller's options to itself alone, gives its children `parent=self`, and never imports another
component: `__main__` connects them. Type tokens and logical names are keys in the state; a test freezes them. That is
why some type tokens differ from today's class names (`airflow:network:NetworkAccess` is `SecurityGroups`): a new token
would replace everything in the component.
"""

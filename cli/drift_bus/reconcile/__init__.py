"""``drift-bus reconcile``: the bus beside the hosted data API, field by field."""

__all__: list[str] = []

"""`airflow:dagBundles`: where DAGs come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from node.dag_bundles import DagBundle
from settings.errors import Fault
from settings.section import Section
from settings.types import matching, name_remedy

BundleName = Annotated[
    str,
    matching(
        r"(?=.{1,63}$)[a-z](?:-?[a-z0-9])*",
        "lower-case letters, digits and single hyphens, at most 63 characters; starts with a letter, ends with a "
        "letter or digit",
        lambda text: name_remedy(text[:63]),
    ),
]


class DagBundleSettings(Section):
    """A DAG bundle: the DAGs of one team, which are published together. Its name is that of the bundle in Airflow, and
    the first part of its keys in the bucket for DAGs. `{}` is a bundle of releases. If the section is left out, there
    is one such bundle, `dags`. Adding or removing a bundle replaces the nodes. When a bundle is removed, its DAGs
    disappear from Airflow, its runs fail, and its releases stay in the bucket."""

    def for_nodes(self, name: str) -> DagBundle:
        """The bundle in the form that the nodes use."""
        return DagBundle(name=name)


DagBundles = Mapping[BundleName, DagBundleSettings]


def there_is_a_bundle(dag_bundles: DagBundles) -> Iterator[Fault]:
    """A stack has at least one DAG bundle."""
    if not dag_bundles:
        yield Fault(
            key="airflow:dagBundles",
            given="no bundle",
            allowed="at least one: without a bundle there are no DAGs",
            remedy="leave airflow:dagBundles out for one bundle named dags, or add one below it, for example dags: {}",
        )


RULES = (there_is_a_bundle,)

"""`check` with the nodes' own packages, which are really installed: once for all of these tests."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from dags import check as check_module
from dags import environment
from dags.archive import packed_folder
from dags.check import Report, check
from dags.faults import DagsError
from dags.stack import Stack
from node import rootfs
from node.lock import PYPI
from tests.dags.conftest import DAG, MakeFolder

STACK = Stack(
    region="eu-west-1",
    dags_bucket="b",
    bundles=["dags"],
    git_bundles={},
    queues={"default", "heavy"},
    options={},
    web_url="",
)
pytestmark = pytest.mark.usefixtures("nodes_python")
BASH = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("{dag}", schedule=None):
    one = BashOperator(task_id="one", bash_command="true", queue="{queue}")
    two = BashOperator(task_id="two", bash_command="true")
    {more}
"""


def _check(folder: Path, stack: Stack | None = STACK) -> Report:
    with packed_folder(folder) as archive:
        return check(archive, stack, PYPI)


FAULTY = {
    "first.py": DAG.format("first"),
    ".airflowignore": "drafts/\n",
    "b/again.py": DAG.format("first"),
    "build/old.py": (
        "from airflow import DAG\n"
        "from airflow.operators.bash_operator import BashOperator\n"
        "from airflow.operators.python import PythonOperator\n"
        "with DAG('old', schedule_interval='@daily'):\n"
        "    BashOperator(task_id='a', bash_command='true')\n"
        "    PythonOperator(task_id='b', python_callable=print)\n"
    ),
    "cycle.py": BASH.format(dag="cycle", queue="default", more="one >> two >> one"),
    "drafts/a.py": "# airflow dag\nraise ValueError",
    "environment.py": "import os\nimport airflow  # dag\nraise ValueError(sorted(os.environ), os.path.expanduser('~'))",
    "exits.py": "import airflow, os  # dag\nos._exit(7)",
    "gone.py": "# airflow dag\nfrom helpers import missing",
    "helpers/__init__.py": "import no_such_package",
    "queue.py": BASH.format(dag="queued", queue="gpu", more=""),
    "syntax.py": "# airflow dag\ndef f(:",
    "sys_exit.py": "import airflow, sys  # dag\nsys.exit(3)",
    "variable.py": "from airflow.sdk import DAG, Variable\nVariable.get('x')",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, nodes_python: Path) -> Report:  # noqa: ARG001 - needs its cache
    """What the check says about a folder with one fault in each file."""
    folder = tmp_path_factory.mktemp("faulty")
    for path, content in FAULTY.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        return _check(folder)


def _of(report: Report, start: str) -> str:
    """The one fault that starts like this."""
    (fault,) = [fault for fault in report.faults if fault.startswith(start)]
    return fault


def test_all_faults_of_a_folder_are_told_at_once(faulty: Report):
    not_imported = ["build/old", "cycle", "environment", "exits", "gone", "syntax", "sys_exit", "variable"]
    assert [fault.split(":")[0] for fault in faulty.faults] == [
        *(f"{name}.py cannot be imported" for name in not_imported),
        *["build/old.py"] * 2,
        "The DAG id first is in b/again.py and in first.py",
        "queue.py",
    ]


def test_a_cycle_is_a_fault(faulty: Report):
    assert "Cycle detected in Dag" in _of(faulty, "cycle.py cannot be imported")


def test_a_file_that_ends_its_process_does_not_end_the_check(faulty: Report):
    assert _of(faulty, "exits.py") == (
        "exits.py cannot be imported: It ended the process that imports it (exit code 7)."
    )
    assert _of(faulty, "sys_exit.py").startswith("sys_exit.py cannot be imported: SystemExit: 3\n")


def test_an_import_error_shows_the_lines_of_the_folder_that_led_to_it(faulty: Report):
    assert _of(faulty, "gone.py").splitlines() == [
        "gone.py cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
        '      File "gone.py", line 2, in <module>',
        "        from helpers import missing",
        '      File "helpers/__init__.py", line 1, in <module>',
        "        import no_such_package",
    ]
    assert _of(faulty, "syntax.py").startswith("syntax.py cannot be imported: SyntaxError: invalid syntax\n")


def test_a_variable_that_is_read_during_the_import_is_explained(faulty: Report):
    fault = _of(faulty, "variable.py")
    assert "VARIABLE_NOT_FOUND" in fault
    assert "or give the check values as AIRFLOW_VAR_<NAME>" in fault


def test_a_queue_that_no_pool_serves_is_a_fault(faulty: Report):
    assert _of(faulty, "queue.py") == (
        "queue.py: no worker pool serves the queue gpu, to which queued sends one: the tasks would wait for ever. "
        "Served are default, heavy."
    )


def test_a_dag_of_airflow_2_is_told_the_spellings_of_airflow_3(faulty: Report):
    first, second = [fault for fault in faulty.faults if fault.startswith("build/old.py:")]
    assert first == "build/old.py:4: `schedule_interval` is removed in Airflow 3.0: Use `schedule` instead"
    assert second.startswith("build/old.py:5: `airflow.operators.bash_operator.BashOperator` is moved into `standard`")
    assert "use `BashOperator` from `airflow.providers.standard.operators.bash` instead" in second
    advice = "\n".join(faulty.lines())
    assert "build/old.py:4: `airflow.DAG` is deprecated since Airflow 3.0: `DAG` has been moved to `airflow." in advice
    assert "`airflow.operators.python.PythonOperator`" in advice


def test_what_airflowignore_names_is_not_imported(faulty: Report):
    assert not [path for path in faulty.seconds if path.startswith("drafts/")]


def test_dags_see_neither_credentials_nor_the_callers_home(faulty: Report):
    fault = _of(faulty, "environment.py")
    assert "AIRFLOW_HOME" in fault
    assert "AWS_" not in fault
    assert f"'{Path.home()}'" not in fault


def test_a_sound_folder_has_no_faults_and_its_parse_times_are_told(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_VAR_X", "1")
    files = {
        "team/lib/names.py": "QUEUE = 'heavy'",
        "team/second.py": "from team.lib.names import QUEUE\n" + BASH.format(dag="second", queue="heavy", more=""),
        "sql/a.sql": "select",
        "variable.py": "from airflow.sdk import DAG, Variable\nVariable.get('x')",
    }
    report = _check(make_folder(files=files))
    assert report.faults == ()
    assert set(report.seconds) == {"first.py", "team/second.py", "variable.py"}
    assert all(0 < seconds < 30 for seconds in report.seconds.values())
    assert next(report.lines()) == "2 DAGs in 3 files"


def test_the_stacks_options_apply_and_a_file_that_hangs_is_a_fault(make_folder: MakeFolder):
    options = {
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "elsewhere",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "20",
    }
    stack = dataclasses.replace(STACK, queues={"default"}, options=options)
    files = {
        "a.py": BASH.format(dag="a", queue="default", more=""),
        "hangs.py": "import airflow, time  # dag\nwhile True:\n try: time.sleep(9)\n except BaseException: pass",
    }
    hangs, queue = _check(make_folder(files=files), stack).faults
    assert hangs == "hangs.py cannot be imported: It took more than 20 s, the nodes' dag_file_processor_timeout."
    assert "no worker pool serves the queue elsewhere, to which a sends two" in queue


def test_dags_have_no_network(make_folder: MakeFolder):
    if not check_module._sandbox():
        pytest.skip("this machine cannot take the network away from a process")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connects = f"import airflow, socket  # dag\nsocket.create_connection(('127.0.0.1', {port}), 5)"
        (fault,) = _check(make_folder(files={"a.py": connects})).faults
    assert fault.startswith("a.py cannot be imported: OSError: ")


EXAMPLES = """
from airflow.example_dags.plugins.decreasing_priority_weight_strategy import DecreasingPriorityWeightStrategyPlugin
from airflow.example_dags.plugins.listener_plugin import MetadataCollectionPlugin
from airflow.example_dags.plugins.workday import WorkdayTimetablePlugin
"""
OWN = """
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.simple import NullTimetable

class Never(NullTimetable):
    pass

class Own(AirflowPlugin):
    name = "own"
    timetables = [Never]
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the nodes' plugins."""
    folder = tmp_path / "airflow-plugins"
    folder.mkdir()
    monkeypatch.setattr(rootfs, "USER_PLUGINS", folder)
    return folder


def test_dags_are_checked_with_the_nodes_plugins_and_airflows_own_examples_need_them(
    make_folder: MakeFolder, plugins: Path, nodes_python: Path
):
    [examples] = nodes_python.parent.parent.glob("lib/python*/site-packages/airflow/example_dags")
    names = ("example_workday_timetable.py", "example_custom_weight.py")
    folder = make_folder(files={name: (examples / name).read_text() for name in names})
    without = _check(folder, None).faults
    assert [fault.split(" ")[0] for fault in without] == sorted(names)
    assert "in airflow-plugins/ of this repository" in without[1]
    (plugins / "examples.py").write_text(EXAMPLES)
    (plugins / "own_timetable.py").write_text(OWN)
    (folder / "own.py").write_text(
        "from airflow.sdk import DAG\nfrom own_timetable import Never\nDAG('own', schedule=Never())"
    )
    assert _check(folder, None).faults == ()


def test_every_plugin_that_cannot_be_loaded_is_a_fault(make_folder: MakeFolder, plugins: Path):
    (plugins / "a.py").write_text("import no_such_package")
    (plugins / "b.py").write_text(OWN)
    (plugins / "sub").mkdir()
    (plugins / "sub/b_again.py").write_text(OWN)
    (plugins / "c.py").write_text(OWN.replace('"own"', '"c"').replace("[Never]", "None"))
    missing, again, odd = _check(make_folder(), None).faults
    assert missing.startswith("airflow-plugins/a.py cannot be loaded: No module named 'no_such_package'")
    assert again.startswith("airflow-plugins/sub/b_again.py cannot be loaded: Plugin 'own' already registered")
    assert odd.startswith("one of the plugins cannot be loaded: TypeError: 'NoneType' object is not iterable")


@pytest.mark.parametrize(
    ("content", "said"), [("import os; os._exit(3)", "(exit code 3)"), ("import sys; sys.exit('no')", "SystemExit: no")]
)
def test_a_plugin_that_ends_every_process_is_a_fault(make_folder: MakeFolder, plugins: Path, content: str, said: str):
    (plugins / "a.py").write_text(content)
    [fault] = _check(make_folder(), None).faults
    assert fault.startswith("one of the plugins cannot be loaded: ")
    assert said in fault


def test_a_plugin_in_a_release_is_told_because_nothing_loads_it(make_folder: MakeFolder, plugins: Path):
    assert plugins.is_dir()
    report = _check(make_folder(files={"plugins/own.py": OWN}), None)
    assert any(line.startswith("plugins/own.py:8: Own is not loaded") for line in report.advice)


def test_without_a_stack_queues_are_not_judged_and_without_a_sandbox_that_is_said(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(check_module, "SANDBOXES", (("false",), ("no-such-command",)))
    folder = make_folder(files={"first.py": "# airflow dag", "a.py": "# airflow dag"})
    assert _check(folder, None).faults == ("There is no DAG in it.",)
    assert "cannot take the network away from the check" in capsys.readouterr().err
    (folder / "a.py").write_text(BASH.format(dag="a", queue="gpu", more=""))
    assert _check(folder, None).faults == ()


def test_the_environment_has_exactly_the_nodes_packages(nodes_python: Path):
    code = "import sys, airflow; print(*sys.version_info[:2], airflow.__version__)"
    done = subprocess.run([nodes_python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*environment.PYTHON_VERSION.split("."), "3.3.2"]


def test_an_environment_is_built_once_and_removed_when_no_check_uses_it_any_more(nodes_python: Path):
    other = nodes_python.parent.parent.with_name("0123-python3.12")
    other.mkdir()
    built = nodes_python.stat().st_ino
    assert environment.python_of_the_nodes().stat().st_ino == built
    assert other.exists()
    os.utime(other, (1, 1))
    environment.python_of_the_nodes()
    assert not other.exists()
    assert nodes_python.exists()


def test_an_environment_that_cannot_be_built_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "LOCKS", tmp_path / "locks")
    shutil.copytree(Path(environment.__file__).parent.parent / "node/locks", tmp_path / "locks")
    (tmp_path / "locks/airflow.txt").write_text("no-such-package==1 --hash=sha256:" + "0" * 64)
    with pytest.raises(DagsError, match="The nodes' packages cannot be installed on this machine:\n"):
        environment.python_of_the_nodes()
    assert list(environment.cache_folder().iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DagsError):
        environment.python_of_the_nodes()


def test_ids_that_are_too_long_for_the_key_of_a_log_are_named(make_folder: MakeFolder):
    names = {"long": "x" * 250, "longer": "文" * 210}
    files = {f"{file}.py": BASH.format(dag=name, queue="default", more="") for file, name in names.items()}
    files["longest.py"] = BASH.format(dag="文" * 217, queue="default", more="")
    faults = _check(make_folder(files=files)).faults
    told = f"longest.py: the ids of the DAG {'文' * 217} and its task {{}} have 654 bytes together."
    assert [fault.startswith(told.format(task)) for fault, task in zip(faults, ("one", "two"), strict=True)] == [
        True,
        True,
    ]
